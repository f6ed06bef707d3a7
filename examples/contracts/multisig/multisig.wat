;; Calls other contracts on the word of several owners; README.md beside this file has the functions, the state and the events.
;;
;; What is signed is one stretch of memory, from 1024 on: a tag, so that nobody signs it believing that it is something else; the
;; domain, this contract's address and the nonce, so that a signature holds once and here only; and the input of the call up to its
;; signatures. All lengths in it are fixed or stand before what they measure: no two calls have the same bytes.
;;
;; A status that is dropped here can only be OK: storage_set, emit_event, output and keccak256 do their work or end the call.
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "self_address" (func $self_address (param i32) (result i32)))
  (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
  (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
  (import "chain_api" "call" (func $call (param i32 i32 i32 i32 i32 i64) (result i32)))
  (import "chain_api" "call_output_len" (func $call_output_len (result i32)))
  (import "chain_api" "call_output" (func $call_output (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))
  (import "chain_api" "abort" (func $abort (param i32 i32 i32)))
  (import "crypto_api" "keccak256" (func $keccak256 (param i32 i32 i32) (result i32)))
  (import "crypto_api" "secp256k1_recover" (func $secp256k1_recover (param i32 i32 i32) (result i32)))
  (import "crypto_api" "eth_address" (func $eth_address (param i32 i32 i32) (result i32)))

  ;; The called contract's output is at 65536 and has at most 65536 bytes.
  (memory (export "memory") 2)
  ;; 0..8 a nonce that is written; the keys of the settings and of the nonce.
  (data (i32.const 8) "sn")
  (data (i32.const 128) "the input has another length than the function takes")
  (data (i32.const 192) "the owners are set already")
  (data (i32.const 224) "the owners are not set yet: call init")
  (data (i32.const 272) "owners are in ascending order, none of them zero")
  (data (i32.const 336) "the threshold is 1 to the number of owners")
  (data (i32.const 384) "fewer signatures than the threshold")
  (data (i32.const 432) "a signature is malformed")
  (data (i32.const 464) "a signature is not by an owner")
  (data (i32.const 512) "the signatures are not in ascending order of their owners")
  (data (i32.const 576) "the call failed")
  (data (i32.const 608) "the call's output is above 65536 bytes")
  ;; 1024.. what is signed: the tag, the domain (1040), this contract (1072), the nonce (1092), and from 1100 on the input: the
  ;; target, the function's name after its length (1120), the called function's input after its length, the signatures.
  (data (i32.const 1024) "SuperVM multisig")
  ;; 40960.. the settings: the domain, the threshold (40992), the owners (40993). 20 zeros at 42000. A signer's key at 42100 and
  ;; address at 42200, the digest at 42300. 43000.. the event.

  (global $owners (mut i32) (i32.const 0))
  (global $name_len (mut i32) (i32.const 0))
  ;; Where the called function's input begins and ends; the signatures follow.
  (global $input_at (mut i32) (i32.const 0))
  (global $input_end (mut i32) (i32.const 0))
  ;; How many bytes of signatures there are.
  (global $signatures_len (mut i32) (i32.const 0))

  (func (export "init")
    (local $len i32) (local $owner i32) (local $before i32) (local $end i32)
    ;; 32 owners, and one byte more so that a longer input is seen.
    (local.set $len (call $input (i32.const 40960) (i32.const 674)))
    (if (i32.lt_u (local.get $len) (i32.const 53)) (then (call $refuse_length)))
    (if (i32.rem_u (i32.sub (local.get $len) (i32.const 33)) (i32.const 20)) (then (call $refuse_length)))
    (if (i64.ne (call $storage_get (i32.const 8) (i32.const 1)) (i64.const 0))
      (then (call $abort (i32.const 2) (i32.const 192) (i32.const 26))))
    (global.set $owners (i32.div_u (i32.sub (local.get $len) (i32.const 33)) (i32.const 20)))
    (if (i32.ge_u (i32.sub (call $threshold) (i32.const 1)) (global.get $owners))
      (then (call $abort (i32.const 5) (i32.const 336) (i32.const 42))))
    ;; Each is above the one before, the first above zero: so none is there twice.
    (local.set $before (i32.const 42000))
    (local.set $owner (i32.const 40993))
    (local.set $end (i32.add (i32.const 40960) (local.get $len)))
    (loop $next
      (if (i32.le_s (call $compare (local.get $owner) (local.get $before)) (i32.const 0))
        (then (call $abort (i32.const 4) (i32.const 272) (i32.const 48))))
      (local.set $before (local.get $owner))
      (local.set $owner (i32.add (local.get $owner) (i32.const 20)))
      (br_if $next (i32.lt_u (local.get $owner) (local.get $end))))
    (drop (call $storage_set (i32.const 8) (i32.const 1) (i32.const 40960) (local.get $len))))

  (func (export "execute")
    (local $output_len i32)
    (call $read_order)
    (if (i32.rem_u (global.get $signatures_len) (i32.const 65)) (then (call $refuse_length)))
    (call $digest_order)
    (call $check_signatures)
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 1092)) (i64.const 1)))
    (drop (call $storage_set (i32.const 9) (i32.const 1) (i32.const 0) (i32.const 8)))
    (if (call $call
          (i32.const 1100) (i32.const 1121) (global.get $name_len)
          (global.get $input_at) (i32.sub (global.get $input_end) (global.get $input_at)) (i64.const -1))
      (then (call $abort (i32.const 10) (i32.const 576) (i32.const 15))))
    (local.set $output_len (call $call_output_len))
    (if (i32.gt_u (local.get $output_len) (i32.const 65536))
      (then (call $abort (i32.const 11) (i32.const 608) (i32.const 38))))
    (drop (call $call_output (i32.const 65536) (local.get $output_len)))
    (drop (call $output (i32.const 65536) (local.get $output_len)))
    (call $emit))

  (func (export "digest")
    (call $read_order)
    (if (global.get $signatures_len) (then (call $refuse_length)))
    (call $digest_order)
    (drop (call $output (i32.const 42300) (i32.const 32))))

  (func (export "nonce")
    (call $refuse_input)
    (call $load_nonce)
    (drop (call $output (i32.const 1092) (i32.const 8))))

  (func (export "settings")
    (call $refuse_input)
    (call $load_settings)
    (drop (call $output (i32.const 40960) (i32.add (i32.const 33) (i32.mul (global.get $owners) (i32.const 20))))))

  ;; Reads the input and finds its parts; the longest one has a name of 255 bytes, an input of 32768 and 32 signatures.
  (func $read_order
    (local $len i32) (local $input_len i32)
    (local.set $len (call $input (i32.const 1100) (i32.const 35129)))
    (if (i32.gt_u (local.get $len) (i32.const 35128)) (then (call $refuse_length)))
    (global.set $name_len (i32.load8_u (i32.const 1120)))
    (global.set $input_at (i32.add (global.get $name_len) (i32.const 1125)))
    (if (i32.lt_u (i32.add (local.get $len) (i32.const 1100)) (global.get $input_at)) (then (call $refuse_length)))
    (local.set $input_len (i32.load (i32.add (global.get $name_len) (i32.const 1121))))
    (if (i32.gt_u (local.get $input_len) (i32.const 32768)) (then (call $refuse_length)))
    (global.set $input_end (i32.add (global.get $input_at) (local.get $input_len)))
    (global.set $signatures_len (i32.sub (i32.add (local.get $len) (i32.const 1100)) (global.get $input_end)))
    (if (i32.lt_s (global.get $signatures_len) (i32.const 0)) (then (call $refuse_length))))

  ;; Completes what is signed and puts its digest at 42300.
  (func $digest_order
    (call $load_settings)
    (memory.copy (i32.const 1040) (i32.const 40960) (i32.const 32))
    (drop (call $self_address (i32.const 1072)))
    (call $load_nonce)
    (drop (call $keccak256 (i32.const 1024) (i32.sub (global.get $input_end) (i32.const 1024)) (i32.const 42300))))

  (func $load_settings
    (local $len i64)
    (local.set $len (call $storage_get (i32.const 8) (i32.const 1)))
    (if (i64.eqz (local.get $len))
      (then (call $abort (i32.const 3) (i32.const 224) (i32.const 37))))
    (drop (call $storage_read_value (i32.const 40960) (i32.const 673)))
    (global.set $owners (i32.div_u (i32.sub (i32.wrap_i64 (local.get $len)) (i32.const 33)) (i32.const 20))))

  ;; Zero while there is none, for nothing was written there before.
  (func $load_nonce
    (drop (call $storage_get (i32.const 9) (i32.const 1)))
    (drop (call $storage_read_value (i32.const 1092) (i32.const 8))))

  (func $threshold (result i32)
    (i32.load8_u (i32.const 40992)))

  ;; Each signer must stand behind the one before in the list of owners: so none counts twice.
  (func $check_signatures
    (local $signature i32) (local $end i32) (local $owner i32) (local $expected i32)
    (if (i32.lt_u (i32.div_u (global.get $signatures_len) (i32.const 65)) (call $threshold))
      (then (call $abort (i32.const 6) (i32.const 384) (i32.const 35))))
    (local.set $signature (global.get $input_end))
    (local.set $end (i32.add (global.get $input_end) (global.get $signatures_len)))
    (loop $next
      (call $recover_signer (local.get $signature))
      (local.set $owner (call $position_of_signer))
      (if (i32.lt_u (local.get $owner) (local.get $expected))
        (then (call $abort (i32.const 9) (i32.const 512) (i32.const 57))))
      (local.set $expected (i32.add (local.get $owner) (i32.const 1)))
      (local.set $signature (i32.add (local.get $signature) (i32.const 65)))
      (br_if $next (i32.lt_u (local.get $signature) (local.get $end)))))

  ;; Puts the address of who made the signature at 42200.
  (func $recover_signer (param $signature i32)
    (if (call $secp256k1_recover (i32.const 42300) (local.get $signature) (i32.const 42100))
      (then (call $abort (i32.const 7) (i32.const 432) (i32.const 24))))
    (if (call $eth_address (i32.const 42100) (i32.const 65) (i32.const 42200))
      (then unreachable)))

  ;; Which of the owners the signer is, from 0 on.
  (func $position_of_signer (result i32)
    (local $position i32)
    (loop $next
      (if (i32.eqz (call $compare
            (i32.const 42200)
            (i32.add (i32.const 40993) (i32.mul (local.get $position) (i32.const 20)))))
        (then (return (local.get $position))))
      (local.set $position (i32.add (local.get $position) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $position) (global.get $owners))))
    (call $abort (i32.const 8) (i32.const 464) (i32.const 30))
    unreachable)

  ;; Compares two addresses, the first byte first: below 0, 0 or above 0.
  (func $compare (param $a i32) (param $b i32) (result i32)
    (local $index i32) (local $difference i32)
    (loop $next
      (local.set $difference
        (i32.sub
          (i32.load8_u (i32.add (local.get $a) (local.get $index)))
          (i32.load8_u (i32.add (local.get $b) (local.get $index)))))
      (if (local.get $difference) (then (return (local.get $difference))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $index) (i32.const 20))))
    (i32.const 0))

  (func $emit
    (i32.store8 (i32.const 43000) (i32.const 0x45)) ;; "E"
    (i64.store (i32.const 43001) (i64.load (i32.const 1092)))
    (memory.copy (i32.const 43009) (i32.const 42300) (i32.const 32))
    (memory.copy (i32.const 43041) (i32.const 1100) (i32.const 20))
    (memory.copy (i32.const 43061) (i32.const 1121) (global.get $name_len))
    (drop (call $emit_event (i32.const 43000) (i32.add (global.get $name_len) (i32.const 61)))))

  (func $refuse_input
    (if (call $input (i32.const 0) (i32.const 1)) (then (call $refuse_length))))

  (func $refuse_length
    (call $abort (i32.const 1) (i32.const 128) (i32.const 52))))
