;; A token in the shape of ERC-20; README.md beside this file has the functions, the state and the events.
;;
;; Amounts are unsigned. Invariant: the balances add up to the total supply, which fits 64 bits. So no balance can overflow, and
;; only mint, which adds to the supply, has to look.
;;
;; A status that is dropped here can only be OK: storage_set, storage_delete, emit_event and output do their work or end the call.
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "storage_api" "storage_delete" (func $storage_delete (param i32 i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
  (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))
  (import "chain_api" "abort" (func $abort (param i32 i32 i32)))

  (memory (export "memory") 1)
  ;; 0..8 a number that is read, written or returned; 16..36 the caller, 40..60 the minter.
  ;; 64..113 an event: its letter, two addresses (65, 85) and the amount (105). Until it is emitted, the letter's place and the
  ;; first address are the key of that account's balance. One byte more is read of an input, so that a longer one is seen.
  (data (i32.const 64) "b")
  ;; The key of the other account's balance: its address is at 129. The key of an allowance: the owner at 161, the spender at 181.
  (data (i32.const 128) "b")
  (data (i32.const 160) "a")
  ;; The keys of the minter and of the total supply.
  (data (i32.const 208) "ms")
  (data (i32.const 256) "the input has another length than the function takes")
  (data (i32.const 320) "the token has a minter already")
  (data (i32.const 352) "the token has no minter yet: call init")
  (data (i32.const 400) "the caller is not the minter")
  (data (i32.const 432) "the amount is above the balance")
  (data (i32.const 464) "the amount is above the allowance")
  (data (i32.const 512) "the total supply would be above 64 bits")

  (func (export "init")
    (call $read_input (i32.const 0) (i32.const 0))
    (if (i64.ne (call $storage_get (i32.const 208) (i32.const 1)) (i64.const 0))
      (then (call $abort (i32.const 2) (i32.const 320) (i32.const 30))))
    (drop (call $caller (i32.const 16)))
    (drop (call $storage_set (i32.const 208) (i32.const 1) (i32.const 16) (i32.const 20))))

  (func (export "mint")
    (local $supply i64)
    (call $read_input (i32.const 85) (i32.const 28))
    (call $only_minter)
    (local.set $supply (i64.add (call $number (i32.const 209) (i32.const 1)) (call $amount)))
    (if (i64.lt_u (local.get $supply) (call $amount))
      (then (call $abort (i32.const 7) (i32.const 512) (i32.const 39))))
    (call $set_number (i32.const 209) (i32.const 1) (local.get $supply))
    (call $credit)
    ;; There is no first address: the letter stands right before the second.
    (i32.store8 (i32.const 84) (i32.const 0x4d)) ;; "M"
    (drop (call $emit_event (i32.const 84) (i32.const 29))))

  (func (export "transfer")
    (call $read_input (i32.const 85) (i32.const 28))
    (drop (call $caller (i32.const 65)))
    (call $move))

  (func (export "approve")
    (call $read_input (i32.const 85) (i32.const 28))
    (drop (call $caller (i32.const 65)))
    (memory.copy (i32.const 161) (i32.const 65) (i32.const 40))
    (call $set_number (i32.const 160) (i32.const 41) (call $amount))
    (i32.store8 (i32.const 64) (i32.const 0x41)) ;; "A"
    (drop (call $emit_event (i32.const 64) (i32.const 49))))

  (func (export "transfer_from")
    (local $allowance i64)
    (call $read_input (i32.const 65) (i32.const 48))
    (memory.copy (i32.const 161) (i32.const 65) (i32.const 20))
    (drop (call $caller (i32.const 181)))
    (local.set $allowance (call $number (i32.const 160) (i32.const 41)))
    (if (i64.lt_u (local.get $allowance) (call $amount))
      (then (call $abort (i32.const 6) (i32.const 464) (i32.const 33))))
    (call $set_number (i32.const 160) (i32.const 41) (i64.sub (local.get $allowance) (call $amount)))
    (call $move))

  (func (export "balance_of")
    (call $read_input (i32.const 129) (i32.const 20))
    (call $output_number (call $number (i32.const 128) (i32.const 21))))

  (func (export "allowance")
    (call $read_input (i32.const 161) (i32.const 40))
    (call $output_number (call $number (i32.const 160) (i32.const 41))))

  (func (export "total_supply")
    (call $read_input (i32.const 0) (i32.const 0))
    (call $output_number (call $number (i32.const 209) (i32.const 1))))

  ;; Moves the amount from the event's first address to its second.
  (func $move
    (local $balance i64)
    (local.set $balance (call $number (i32.const 64) (i32.const 21)))
    (if (i64.lt_u (local.get $balance) (call $amount))
      (then (call $abort (i32.const 5) (i32.const 432) (i32.const 31))))
    ;; The debit is stored before the other balance is read, so that a transfer to oneself keeps the balance.
    (call $set_number (i32.const 64) (i32.const 21) (i64.sub (local.get $balance) (call $amount)))
    (call $credit)
    (i32.store8 (i32.const 64) (i32.const 0x54)) ;; "T"
    (drop (call $emit_event (i32.const 64) (i32.const 49))))

  ;; Adds the amount to the balance of the event's second address.
  (func $credit
    (memory.copy (i32.const 129) (i32.const 85) (i32.const 20))
    (call $set_number (i32.const 128) (i32.const 21)
      (i64.add (call $number (i32.const 128) (i32.const 21)) (call $amount))))

  (func $amount (result i64)
    (i64.load (i32.const 105)))

  (func $only_minter
    (if (i64.eqz (call $storage_get (i32.const 208) (i32.const 1)))
      (then (call $abort (i32.const 3) (i32.const 352) (i32.const 38))))
    (drop (call $storage_read_value (i32.const 40) (i32.const 20)))
    (drop (call $caller (i32.const 16)))
    (if (i32.eqz (i32.and
          (i32.and
            (i64.eq (i64.load (i32.const 16)) (i64.load (i32.const 40)))
            (i64.eq (i64.load (i32.const 24)) (i64.load (i32.const 48))))
          (i32.eq (i32.load (i32.const 32)) (i32.load (i32.const 56)))))
      (then (call $abort (i32.const 4) (i32.const 400) (i32.const 28)))))

  ;; The number under a key; 0 when the key is absent.
  (func $number (param $key i32) (param $key_len i32) (result i64)
    (if (i64.eqz (call $storage_get (local.get $key) (local.get $key_len)))
      (then (return (i64.const 0))))
    (drop (call $storage_read_value (i32.const 0) (i32.const 8)))
    (i64.load (i32.const 0)))

  ;; Puts a number under a key. A zero is no entry, so that an account that was emptied leaves nothing behind.
  (func $set_number (param $key i32) (param $key_len i32) (param $number i64)
    (if (i64.eqz (local.get $number))
      (then
        (drop (call $storage_delete (local.get $key) (local.get $key_len)))
        (return)))
    (i64.store (i32.const 0) (local.get $number))
    (drop (call $storage_set (local.get $key) (local.get $key_len) (i32.const 0) (i32.const 8))))

  (func $output_number (param $number i64)
    (i64.store (i32.const 0) (local.get $number))
    (drop (call $output (i32.const 0) (i32.const 8))))

  ;; Copies the input to `at`, when it has `len` bytes.
  (func $read_input (param $at i32) (param $len i32)
    (if (i32.ne (call $input (local.get $at) (i32.add (local.get $len) (i32.const 1))) (local.get $len))
      (then (call $abort (i32.const 1) (i32.const 256) (i32.const 52))))))
