;; A ledger: accounts are numbers, and an account's balance is stored under its 8 bytes, little-endian, as 8 bytes.
;;
;; mint(to: i64, amount: i64)
;;   Adds to an account out of nothing. Event: "mint <to> <amount>".
;; transfer(from: i64, to: i64, amount: i64)
;;   Moves an amount. Event: "transfer <from> <to> <amount>".
;; balance(account: i64) -> i64
;;   0 for an account that was never used.
;;
;; Aborts, and thereby changes nothing: a negative amount, a transfer above the balance, a balance above the largest i64.
;; There is no check of who calls: this contract is there to be measured and read, not to hold value.
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))
  (import "chain_api" "abort" (func $abort (param i32 i32 i32)))

  (memory (export "memory") 1)
  ;; 0..8 the key, 8..16 the value, 32..52 the digits of one number from the right, 64..192 the event's text.
  (data (i32.const 16) "mint")
  (data (i32.const 24) "transfer")
  (data (i32.const 192) "the amount is negative")
  (data (i32.const 224) "the amount is above the balance")
  (data (i32.const 256) "the balance would be above the largest number")

  ;; Where the event's text ends.
  (global $end (mut i32) (i32.const 64))

  (func (export "mint") (param $to i64) (param $amount i64)
    (call $refuse_negative (local.get $amount))
    (call $credit (local.get $to) (local.get $amount))
    (memory.copy (i32.const 64) (i32.const 16) (i32.const 4))
    (global.set $end (i32.const 68))
    (call $append (local.get $to))
    (call $append (local.get $amount))
    (call $emit))

  (func (export "transfer") (param $from i64) (param $to i64) (param $amount i64)
    (local $balance i64)
    (call $refuse_negative (local.get $amount))
    (local.set $balance (call $balance (local.get $from)))
    (if (i64.lt_s (local.get $balance) (local.get $amount))
      (then (call $abort (i32.const 2) (i32.const 224) (i32.const 31))))
    ;; The debit is stored before the other balance is read, so that a transfer to oneself keeps the balance.
    (call $store (local.get $from) (i64.sub (local.get $balance) (local.get $amount)))
    (call $credit (local.get $to) (local.get $amount))
    (memory.copy (i32.const 64) (i32.const 24) (i32.const 8))
    (global.set $end (i32.const 72))
    (call $append (local.get $from))
    (call $append (local.get $to))
    (call $append (local.get $amount))
    (call $emit))

  (func $balance (export "balance") (param $account i64) (result i64)
    (i64.store (i32.const 0) (local.get $account))
    (if (i64.eqz (call $storage_get (i32.const 0) (i32.const 8))) (then (return (i64.const 0))))
    (drop (call $storage_read_value (i32.const 8) (i32.const 8)))
    (i64.load (i32.const 8)))

  (func $store (param $account i64) (param $balance i64)
    (i64.store (i32.const 0) (local.get $account))
    (i64.store (i32.const 8) (local.get $balance))
    (if (call $storage_set (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 8)) (then unreachable)))

  (func $credit (param $account i64) (param $amount i64)
    (local $sum i64)
    (local.set $sum (i64.add (call $balance (local.get $account)) (local.get $amount)))
    ;; Both terms are at least 0, so that a negative sum is one that wrapped around.
    (if (i64.lt_s (local.get $sum) (i64.const 0))
      (then (call $abort (i32.const 3) (i32.const 256) (i32.const 45))))
    (call $store (local.get $account) (local.get $sum)))

  (func $refuse_negative (param $number i64)
    (if (i64.lt_s (local.get $number) (i64.const 0))
      (then (call $abort (i32.const 1) (i32.const 192) (i32.const 22)))))

  ;; Appends a space and the number in decimal to the event's text.
  (func $append (param $number i64)
    (local $first i32) (local $rest i64)
    (local.set $first (i32.const 52))
    (local.set $rest (local.get $number))
    (i32.store8 (global.get $end) (i32.const 0x20))
    (global.set $end (i32.add (global.get $end) (i32.const 1)))
    (if (i64.lt_s (local.get $number) (i64.const 0))
      (then
        (i32.store8 (global.get $end) (i32.const 0x2d))
        (global.set $end (i32.add (global.get $end) (i32.const 1)))
        ;; The smallest i64 is its own negation; the division below is unsigned and reads it rightly.
        (local.set $rest (i64.sub (i64.const 0) (local.get $number)))))
    (loop $digits
      (local.set $first (i32.sub (local.get $first) (i32.const 1)))
      (i32.store8 (local.get $first)
        (i32.add (i32.const 0x30) (i32.wrap_i64 (i64.rem_u (local.get $rest) (i64.const 10)))))
      (local.set $rest (i64.div_u (local.get $rest) (i64.const 10)))
      (br_if $digits (i64.ne (local.get $rest) (i64.const 0))))
    (memory.copy (global.get $end) (local.get $first) (i32.sub (i32.const 52) (local.get $first)))
    (global.set $end (i32.add (global.get $end) (i32.sub (i32.const 52) (local.get $first)))))

  (func $emit
    (if (call $emit_event (i32.const 64) (i32.sub (global.get $end) (i32.const 64))) (then unreachable))))
