;; Names with an owner and a value, listed by scans; README.md beside this file has the functions, the state and the events.
;;
;; A numbered name is a prefix, `#` and ten digits. No name that is registered by hand has a `#`, so that the greatest key under
;; "prefix#" is the greatest number, and a scan of one entry from the end finds it.
;;
;; A status that is dropped here can only be OK: storage_set, storage_delete, emit_event and output do their work or end the call.
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_has" (func $storage_has (param i32 i32) (result i32)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "storage_api" "storage_delete" (func $storage_delete (param i32 i32) (result i32)))
  (import "storage_api" "storage_scan" (func $storage_scan (param i32 i32 i32 i32) (result i32)))
  (import "storage_api" "storage_scan_next" (func $storage_scan_next (param i32) (result i32)))
  (import "storage_api" "storage_scan_key" (func $storage_scan_key (param i32 i32) (result i32)))
  (import "storage_api" "storage_scan_value" (func $storage_scan_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_scan_close" (func $storage_scan_close (param i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
  (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))
  (import "chain_api" "abort" (func $abort (param i32 i32 i32)))

  ;; A list of 100 entries has at most 100 * (1 + 64 + 20 + 2 + 1024) bytes and begins at 65536.
  (memory (export "memory") 3)
  ;; 1024.. an event: its letter, the caller (1025), the name's length (1045), the name (1046), the value behind it. Inputs are read
  ;; to where they stand in it.
  ;; 4096.. the key: the name stands at 4097.
  (data (i32.const 4096) "n")
  ;; 6144.. an entry: the owner, and at 6164 the value. 8192.. a key that a scan found.
  (data (i32.const 0) "the input is too short")
  (data (i32.const 80) "a name has 1 to 64 bytes from ! to ~, none of them #")
  (data (i32.const 144) "the name is registered already")
  (data (i32.const 176) "a value has at most 1024 bytes")
  (data (i32.const 208) "the name is not registered")
  (data (i32.const 240) "the caller is not the owner")
  (data (i32.const 272) "the limit is 1 to 100")
  (data (i32.const 304) "the direction is 0 or 1")
  (data (i32.const 336) "all numbers of the prefix are taken")
  (data (i32.const 384) "a prefix has at most 64 bytes, and 1 to 53 when numbers go behind it")

  (global $name_len (mut i32) (i32.const 0))
  (global $value_len (mut i32) (i32.const 0))

  (func (export "register")
    (call $read_entry)
    (call $check_name (global.get $name_len))
    (call $set_key)
    (if (call $storage_has (i32.const 4096) (call $key_len))
      (then (call $abort (i32.const 3) (i32.const 144) (i32.const 30))))
    (call $insert))

  (func (export "register_next")
    (local $scan i32) (local $number i64) (local $prefix_len i32)
    (call $read_entry)
    (local.set $prefix_len (global.get $name_len))
    (if (i32.gt_u (local.get $prefix_len) (i32.const 53)) (then (call $refuse_prefix)))
    (if (i32.eqz (local.get $prefix_len)) (then (call $refuse_prefix)))
    (call $check_name (local.get $prefix_len))
    (call $set_key)
    (i32.store8 offset=4097 (local.get $prefix_len) (i32.const 0x23)) ;; "#"
    (local.set $scan
      (call $storage_scan (i32.const 4096) (i32.add (local.get $prefix_len) (i32.const 2)) (i32.const 1) (i32.const 1)))
    (if (call $storage_scan_next (local.get $scan))
      (then
        (drop (call $storage_scan_key (i32.const 8192) (i32.const 65)))
        (local.set $number (call $digits (i32.add (local.get $prefix_len) (i32.const 8194))))))
    (drop (call $storage_scan_close (local.get $scan)))
    (if (i64.ge_u (local.get $number) (i64.const 9999999999))
      (then (call $abort (i32.const 9) (i32.const 336) (i32.const 35))))
    (call $set_digits (i32.add (local.get $prefix_len) (i32.const 4098)) (i64.add (local.get $number) (i64.const 1)))
    ;; The name is longer than its prefix: the value makes room for the number.
    (global.set $name_len (i32.add (local.get $prefix_len) (i32.const 11)))
    (memory.copy
      (i32.add (global.get $name_len) (i32.const 1046))
      (i32.add (local.get $prefix_len) (i32.const 1046))
      (global.get $value_len))
    (i32.store8 (i32.const 1045) (global.get $name_len))
    (memory.copy (i32.const 1046) (i32.const 4097) (global.get $name_len))
    (call $insert)
    (drop (call $output (i32.const 1046) (global.get $name_len))))

  (func (export "update")
    (call $read_entry)
    (call $set_key)
    (call $only_owner)
    (call $put)
    (call $emit (i32.const 0x55) (global.get $value_len))) ;; "U"

  (func (export "release")
    (call $read_name)
    (call $set_key)
    (call $only_owner)
    (drop (call $storage_delete (i32.const 4096) (call $key_len)))
    (call $emit (i32.const 0x58) (i32.const 0))) ;; "X"

  (func (export "lookup")
    (local $len i64)
    (call $read_name)
    (call $set_key)
    (local.set $len (call $storage_get (i32.const 4096) (call $key_len)))
    (drop (call $output (i32.const 6144) (call $storage_read_value (i32.const 6144) (i32.wrap_i64 (local.get $len))))))

  (func (export "list")
    (local $prefix_len i32) (local $scan i32) (local $end i32)
    ;; The limit is at 1041, the direction at 1045, the prefix at 1046.
    (local.set $prefix_len (i32.sub (call $input (i32.const 1041) (i32.const 70)) (i32.const 5)))
    (if (i32.lt_s (local.get $prefix_len) (i32.const 0)) (then (call $refuse_input)))
    (if (i32.gt_u (local.get $prefix_len) (i32.const 64)) (then (call $refuse_prefix)))
    (if (i32.gt_u (i32.sub (i32.load (i32.const 1041)) (i32.const 1)) (i32.const 99))
      (then (call $abort (i32.const 7) (i32.const 272) (i32.const 21))))
    (if (i32.gt_u (i32.load8_u (i32.const 1045)) (i32.const 1))
      (then (call $abort (i32.const 8) (i32.const 304) (i32.const 23))))
    (memory.copy (i32.const 4097) (i32.const 1046) (local.get $prefix_len))
    (local.set $scan
      (call $storage_scan
        (i32.const 4096)
        (i32.add (local.get $prefix_len) (i32.const 1))
        (i32.load (i32.const 1041))
        (i32.load8_u (i32.const 1045))))
    (local.set $end (i32.const 65536))
    (block $done
      (loop $entry
        (br_if $done (i32.eqz (call $storage_scan_next (local.get $scan))))
        (local.set $end (call $append (local.get $end)))
        (br $entry)))
    (drop (call $output (i32.const 65536) (i32.sub (local.get $end) (i32.const 65536)))))

  ;; Puts the scan's current entry at `at`: the name's length, the name, the owner, the value's length (2 bytes), the value. Returns
  ;; where it ends.
  (func $append (param $at i32) (result i32)
    (local $key_len i32) (local $value_len i32) (local $owner i32)
    ;; The key is "n" and the name: the name's length takes the letter's place.
    (local.set $key_len (call $storage_scan_key (local.get $at) (i32.const 65)))
    (i32.store8 (local.get $at) (i32.sub (local.get $key_len) (i32.const 1)))
    (local.set $owner (i32.add (local.get $at) (local.get $key_len)))
    ;; Owner and value are copied two bytes too far, and the owner moves back, which leaves the length's two bytes between them.
    (local.set $value_len
      (i32.sub (call $storage_scan_value (i32.add (local.get $owner) (i32.const 2)) (i32.const 1044)) (i32.const 20)))
    (memory.copy (local.get $owner) (i32.add (local.get $owner) (i32.const 2)) (i32.const 20))
    (i32.store16 offset=20 (local.get $owner) (local.get $value_len))
    (i32.add (local.get $owner) (i32.add (local.get $value_len) (i32.const 22))))

  ;; Registers the key and the event's value for the caller.
  (func $insert
    (drop (call $caller (i32.const 1025)))
    (call $put)
    (call $emit (i32.const 0x52) (global.get $value_len))) ;; "R"

  ;; Stores the event's value for the event's account.
  (func $put
    (memory.copy (i32.const 6144) (i32.const 1025) (i32.const 20))
    (memory.copy (i32.const 6164) (i32.add (global.get $name_len) (i32.const 1046)) (global.get $value_len))
    (drop (call $storage_set
      (i32.const 4096) (call $key_len) (i32.const 6144) (i32.add (global.get $value_len) (i32.const 20)))))

  (func $only_owner
    (if (i64.eqz (call $storage_get (i32.const 4096) (call $key_len)))
      (then (call $abort (i32.const 5) (i32.const 208) (i32.const 26))))
    (drop (call $storage_read_value (i32.const 6144) (i32.const 20)))
    (drop (call $caller (i32.const 1025)))
    (if (i32.eqz (i32.and
          (i32.and
            (i64.eq (i64.load (i32.const 6144)) (i64.load (i32.const 1025)))
            (i64.eq (i64.load (i32.const 6152)) (i64.load (i32.const 1033))))
          (i32.eq (i32.load (i32.const 6160)) (i32.load (i32.const 1041)))))
      (then (call $abort (i32.const 6) (i32.const 240) (i32.const 27)))))

  (func $emit (param $letter i32) (param $value_len i32)
    (i32.store8 (i32.const 1024) (local.get $letter))
    (drop (call $emit_event (i32.const 1024) (i32.add (i32.const 22) (i32.add (global.get $name_len) (local.get $value_len))))))

  ;; Reads an input that is the name's length, the name and the value. One byte more than the longest name and value have is read,
  ;; so that a longer value is seen.
  (func $read_entry
    (local $len i32)
    (local.set $len (call $input (i32.const 1045) (i32.const 1281)))
    (global.set $name_len (i32.load8_u (i32.const 1045)))
    (global.set $value_len (i32.sub (local.get $len) (i32.add (global.get $name_len) (i32.const 1))))
    (if (i32.lt_s (global.get $value_len) (i32.const 0)) (then (call $refuse_input)))
    (if (i32.gt_u (global.get $value_len) (i32.const 1024))
      (then (call $abort (i32.const 4) (i32.const 176) (i32.const 30)))))

  ;; Reads an input that is a name and nothing else.
  (func $read_name
    (global.set $name_len (call $input (i32.const 1046) (i32.const 65)))
    (i32.store8 (i32.const 1045) (global.get $name_len)))

  ;; Makes the key of the name that was read.
  (func $set_key
    (if (i32.gt_u (i32.sub (global.get $name_len) (i32.const 1)) (i32.const 63)) (then (call $refuse_name)))
    (memory.copy (i32.const 4097) (i32.const 1046) (global.get $name_len)))

  (func $key_len (result i32)
    (i32.add (global.get $name_len) (i32.const 1)))

  ;; Refuses a byte that no name registered by hand, and no prefix of numbers, may have.
  (func $check_name (param $len i32)
    (local $byte i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $len)))
        (local.set $len (i32.sub (local.get $len) (i32.const 1)))
        (local.set $byte (i32.load8_u offset=1046 (local.get $len)))
        (if (i32.eq (local.get $byte) (i32.const 0x23)) (then (call $refuse_name)))
        (if (i32.gt_u (i32.sub (local.get $byte) (i32.const 0x21)) (i32.const 0x5d)) (then (call $refuse_name)))
        (br $next))))

  ;; The number that ten digits at `at` are.
  (func $digits (param $at i32) (result i64)
    (local $end i32) (local $number i64)
    (local.set $end (i32.add (local.get $at) (i32.const 10)))
    (loop $next
      (local.set $number
        (i64.add
          (i64.mul (local.get $number) (i64.const 10))
          (i64.extend_i32_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (local.get $number))

  ;; Puts a number down as ten digits at `at`.
  (func $set_digits (param $at i32) (param $number i64)
    (local $digit i32)
    (local.set $digit (i32.add (local.get $at) (i32.const 9)))
    (loop $next
      (i32.store8 (local.get $digit)
        (i32.add (i32.const 0x30) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10)))))
      (local.set $number (i64.div_u (local.get $number) (i64.const 10)))
      (local.set $digit (i32.sub (local.get $digit) (i32.const 1)))
      (br_if $next (i32.ge_u (local.get $digit) (local.get $at)))))

  (func $refuse_input
    (call $abort (i32.const 1) (i32.const 0) (i32.const 22)))

  (func $refuse_name
    (call $abort (i32.const 2) (i32.const 80) (i32.const 52)))

  (func $refuse_prefix
    (call $abort (i32.const 10) (i32.const 384) (i32.const 68))))
