;; Pays many at once by calling the token; README.md beside this file has the functions, the state and the events.
;;
;; Every payment is a call within a savepoint of its own: when it fails, what the token did in it is gone, and this contract decides
;; whether to go on (try_pay) or to give up (pay), and then all of the call is gone.
;;
;; A status that is dropped here can only be OK: storage_set, emit_event and output do their work or end the call.
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
  (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
  (import "chain_api" "call" (func $call (param i32 i32 i32 i32 i32 i64) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))
  (import "chain_api" "abort" (func $abort (param i32 i32 i32)))

  (memory (export "memory") 1)
  ;; 0..16 numbers that are read, written or returned. The keys of the owner and the token, and of the rounds begun and done.
  (data (i32.const 16) "otbd")
  ;; 64.. an event: its letter, the round (65), the recipient (73), the amount (93), the status (101).
  ;; 128.. the key of a recipient's count: the recipient at 129.
  (data (i32.const 128) "p")
  ;; 160..180 the owner, 192..212 the token.
  ;; 256.. the input of transfer_from: the caller, the recipient (276), the amount (296). That of transfer is its end.
  (data (i32.const 320) "transfer_from")
  (data (i32.const 384) "the input is a source and 1 to 32 payments of 28 bytes, or one address")
  (data (i32.const 464) "the token is set already")
  (data (i32.const 496) "the token is not set yet: call init")
  (data (i32.const 544) "the caller is not the owner")
  (data (i32.const 576) "the source is 0 or 1")
  (data (i32.const 608) "the amount is zero")
  (data (i32.const 640) "a payment failed, so none is made")
  ;; 1024.. the input: the source, and the payments from 1025 on. 2048.. a status for each payment.

  ;; How many payments there are.
  (global $payments (mut i32) (i32.const 0))

  (func (export "init")
    (call $read_account (i32.const 192))
    (if (i64.ne (call $storage_get (i32.const 16) (i32.const 1)) (i64.const 0))
      (then (call $abort (i32.const 2) (i32.const 464) (i32.const 24))))
    (drop (call $caller (i32.const 256)))
    (drop (call $storage_set (i32.const 16) (i32.const 1) (i32.const 256) (i32.const 20)))
    (drop (call $storage_set (i32.const 17) (i32.const 1) (i32.const 192) (i32.const 20))))

  (func (export "pay")
    (local $index i32)
    (call $begin)
    (loop $next
      (if (call $pay_one (local.get $index))
        (then (call $abort (i32.const 7) (i32.const 640) (i32.const 33))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $index) (global.get $payments))))
    (call $end))

  (func (export "try_pay")
    (local $index i32)
    (call $begin)
    (loop $next
      ;; Statuses are 0 or a small number below 0.
      (i32.store8 offset=2048 (local.get $index) (i32.sub (i32.const 0) (call $pay_one (local.get $index))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $index) (global.get $payments))))
    (drop (call $output (i32.const 2048) (global.get $payments)))
    (call $end))

  (func (export "rounds")
    (if (call $input (i32.const 0) (i32.const 1)) (then (call $refuse_length)))
    (i64.store (i32.const 8) (call $number (i32.const 19) (i32.const 1)))
    (i64.store (i32.const 0) (call $number (i32.const 18) (i32.const 1)))
    (drop (call $output (i32.const 0) (i32.const 16))))

  (func (export "paid_to")
    (call $read_account (i32.const 129))
    (i64.store (i32.const 0) (call $number (i32.const 128) (i32.const 21)))
    (drop (call $output (i32.const 0) (i32.const 8))))

  ;; Reads who pays whom, and notes that a round has begun.
  (func $begin
    (local $len i32)
    ;; 32 payments, and one byte more so that a longer input is seen.
    (local.set $len (call $input (i32.const 1024) (i32.const 898)))
    (if (i32.lt_u (local.get $len) (i32.const 29)) (then (call $refuse_length)))
    (if (i32.rem_u (i32.sub (local.get $len) (i32.const 1)) (i32.const 28)) (then (call $refuse_length)))
    (global.set $payments (i32.div_u (local.get $len) (i32.const 28)))
    (if (i32.gt_u (call $source) (i32.const 1))
      (then (call $abort (i32.const 5) (i32.const 576) (i32.const 20))))
    (if (i64.eqz (call $storage_get (i32.const 17) (i32.const 1)))
      (then (call $abort (i32.const 3) (i32.const 496) (i32.const 35))))
    (drop (call $storage_read_value (i32.const 192) (i32.const 20)))
    (drop (call $caller (i32.const 256)))
    ;; Anybody may spend what is his; what is this contract's is the owner's.
    (if (i32.eqz (call $source)) (then (call $only_owner)))
    (i64.store (i32.const 65) (i64.add (call $number (i32.const 18) (i32.const 1)) (i64.const 1)))
    (call $set_number (i32.const 18) (i32.const 1) (i64.load (i32.const 65))))

  ;; Notes that the round is done.
  (func $end
    (call $set_number (i32.const 19) (i32.const 1)
      (i64.add (call $number (i32.const 19) (i32.const 1)) (i64.const 1))))

  ;; Makes a payment and returns the status of the token's call.
  (func $pay_one (param $index i32) (result i32)
    (local $status i32)
    (memory.copy (i32.const 276) (i32.add (i32.const 1025) (i32.mul (local.get $index) (i32.const 28))) (i32.const 28))
    (memory.copy (i32.const 73) (i32.const 276) (i32.const 28))
    (if (i64.eqz (i64.load (i32.const 296)))
      (then (call $abort (i32.const 6) (i32.const 608) (i32.const 18))))
    (local.set $status (call $call_token))
    (if (local.get $status)
      (then
        (i32.store8 (i32.const 64) (i32.const 0x46)) ;; "F"
        (i32.store8 (i32.const 101) (i32.sub (i32.const 0) (local.get $status)))
        (drop (call $emit_event (i32.const 64) (i32.const 38))))
      (else
        (memory.copy (i32.const 129) (i32.const 276) (i32.const 20))
        (call $set_number (i32.const 128) (i32.const 21)
          (i64.add (call $number (i32.const 128) (i32.const 21)) (i64.const 1)))
        (i32.store8 (i32.const 64) (i32.const 0x50)) ;; "P"
        (drop (call $emit_event (i32.const 64) (i32.const 37)))))
    (local.get $status))

  ;; The gas is bounded, so that a token that uses up all it gets leaves enough for the payments that follow.
  (func $call_token (result i32)
    (if (call $source)
      (then (return (call $call
        (i32.const 192) (i32.const 320) (i32.const 13) (i32.const 256) (i32.const 48) (i64.const 200000)))))
    (call $call (i32.const 192) (i32.const 320) (i32.const 8) (i32.const 276) (i32.const 28) (i64.const 200000)))

  ;; 0 = out of this contract's balance, 1 = out of the caller's.
  (func $source (result i32)
    (i32.load8_u (i32.const 1024)))

  (func $only_owner
    (drop (call $storage_get (i32.const 16) (i32.const 1)))
    (drop (call $storage_read_value (i32.const 160) (i32.const 20)))
    (if (i32.eqz (i32.and
          (i32.and
            (i64.eq (i64.load (i32.const 160)) (i64.load (i32.const 256)))
            (i64.eq (i64.load (i32.const 168)) (i64.load (i32.const 264))))
          (i32.eq (i32.load (i32.const 176)) (i32.load (i32.const 272)))))
      (then (call $abort (i32.const 4) (i32.const 544) (i32.const 27)))))

  ;; The number under a key; 0 when the key is absent.
  (func $number (param $key i32) (param $key_len i32) (result i64)
    (if (i64.eqz (call $storage_get (local.get $key) (local.get $key_len)))
      (then (return (i64.const 0))))
    (drop (call $storage_read_value (i32.const 0) (i32.const 8)))
    (i64.load (i32.const 0)))

  (func $set_number (param $key i32) (param $key_len i32) (param $number i64)
    (i64.store (i32.const 0) (local.get $number))
    (drop (call $storage_set (local.get $key) (local.get $key_len) (i32.const 0) (i32.const 8))))

  (func $read_account (param $at i32)
    (if (i32.ne (call $input (local.get $at) (i32.const 21)) (i32.const 20))
      (then (call $refuse_length))))

  (func $refuse_length
    (call $abort (i32.const 1) (i32.const 384) (i32.const 70))))
