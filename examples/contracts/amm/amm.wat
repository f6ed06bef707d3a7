;; A pool of two assets that trades them at x * y = k, with a fee of 0.3%; README.md beside this file has the functions, the
;; state and the events.
;;
;; Amounts are unsigned and fit 64 bits; products have 128. Whatever does not come out even is rounded in favour of the pool, so
;; that no sequence of calls takes more out than its share.
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
  ;; 0..8 a number that is read or written.
  ;; 64.. an event: its letter, the caller (65), and from 85 on the rest. Inputs and outputs are parts of the rest and are read to
  ;; where they stand in it; one byte more is read, so that a longer input is seen.
  ;; Key of the caller's balance: the account at 129, the side at 149.
  (data (i32.const 128) "b")
  ;; Key of the caller's shares: the account at 161.
  (data (i32.const 160) "l")
  ;; Key of a reserve: the side at 193. Key of the total of all shares.
  (data (i32.const 192) "r")
  (data (i32.const 200) "s")
  (data (i32.const 256) "the input has another length than the function takes")
  (data (i32.const 320) "there are the sides 0 and 1")
  (data (i32.const 352) "the amount is zero")
  (data (i32.const 384) "the amount is above the balance")
  (data (i32.const 416) "more shares than the caller has")
  (data (i32.const 448) "the pool is empty")
  (data (i32.const 480) "less than the minimum that was asked for")
  (data (i32.const 544) "a number would be above 64 bits")
  (data (i32.const 576) "the amount is too small to come to anything")

  (func (export "deposit")
    (call $read_input (i32.const 85) (i32.const 9))
    (call $refuse_zero (i64.load (i32.const 86)))
    (call $credit (call $side) (i64.load (i32.const 86)))
    (call $emit (i32.const 0x44) (i32.const 30))) ;; "D"

  (func (export "add_liquidity")
    (local $minimum i64) (local $total i64) (local $shares i64)
    (call $read_input (i32.const 85) (i32.const 24))
    (call $refuse_zero (i64.load (i32.const 85)))
    (call $refuse_zero (i64.load (i32.const 93)))
    (local.set $minimum (i64.load (i32.const 101)))
    (local.set $total (call $number (i32.const 200) (i32.const 1)))
    (if (i64.eqz (local.get $total))
      (then (local.set $shares (call $root_of_product (i64.load (i32.const 85)) (i64.load (i32.const 93)))))
      (else (local.set $shares (call $join (local.get $total)))))
    (call $refuse_below (local.get $minimum) (local.get $shares))
    (call $pay_in (i32.const 0))
    (call $pay_in (i32.const 1))
    (call $set_number (i32.const 200) (i32.const 1) (call $sum (local.get $total) (local.get $shares)))
    ;; No account has more than the total, so this sum cannot overflow.
    (call $set_number (i32.const 160) (i32.const 21)
      (i64.add (call $number (i32.const 160) (i32.const 21)) (local.get $shares)))
    (i64.store (i32.const 101) (local.get $shares))
    (drop (call $output (i32.const 85) (i32.const 24)))
    (call $emit (i32.const 0x4c) (i32.const 45))) ;; "L"

  (func (export "remove_liquidity")
    (local $shares i64) (local $own i64) (local $total i64)
    (call $read_input (i32.const 101) (i32.const 8))
    (local.set $shares (i64.load (i32.const 101)))
    (call $refuse_zero (local.get $shares))
    (local.set $own (call $number (i32.const 160) (i32.const 21)))
    (if (i64.lt_u (local.get $own) (local.get $shares))
      (then (call $abort (i32.const 5) (i32.const 416) (i32.const 31))))
    (local.set $total (call $number (i32.const 200) (i32.const 1)))
    (call $set_number (i32.const 160) (i32.const 21) (i64.sub (local.get $own) (local.get $shares)))
    (call $set_number (i32.const 200) (i32.const 1) (i64.sub (local.get $total) (local.get $shares)))
    (call $pay_out (i32.const 0) (local.get $shares) (local.get $total))
    (call $pay_out (i32.const 1) (local.get $shares) (local.get $total))
    (drop (call $output (i32.const 85) (i32.const 16)))
    (call $emit (i32.const 0x52) (i32.const 45))) ;; "R"

  (func (export "swap")
    (local $side i32) (local $minimum i64) (local $out i64) (local $reserve_in i64) (local $reserve_out i64)
    (call $read_input (i32.const 85) (i32.const 17))
    (local.set $side (call $side))
    (local.set $minimum (i64.load (i32.const 94)))
    (call $trade (local.get $side) (i64.load (i32.const 86)))
    (local.set $reserve_out)
    (local.set $reserve_in)
    (local.set $out)
    (call $refuse_below (local.get $minimum) (local.get $out))
    (call $debit (local.get $side) (i64.load (i32.const 86)))
    (call $credit (i32.xor (local.get $side) (i32.const 1)) (local.get $out))
    (call $set_reserve (local.get $side) (local.get $reserve_in))
    (call $set_reserve (i32.xor (local.get $side) (i32.const 1)) (local.get $reserve_out))
    (i64.store (i32.const 94) (local.get $out))
    (drop (call $output (i32.const 94) (i32.const 8)))
    (call $emit (i32.const 0x53) (i32.const 38))) ;; "S"

  (func (export "quote")
    (local $out i64)
    (call $read_input (i32.const 85) (i32.const 9))
    (call $trade (call $side) (i64.load (i32.const 86)))
    drop
    drop
    (local.set $out)
    (i64.store (i32.const 85) (local.get $out))
    (drop (call $output (i32.const 85) (i32.const 8))))

  (func (export "reserves")
    (call $read_input (i32.const 85) (i32.const 0))
    (i64.store (i32.const 85) (call $reserve (i32.const 0)))
    (i64.store (i32.const 93) (call $reserve (i32.const 1)))
    (drop (call $output (i32.const 85) (i32.const 16))))

  (func (export "balance_of")
    (call $read_input (i32.const 129) (i32.const 20))
    (i64.store (i32.const 85) (call $balance (i32.const 0)))
    (i64.store (i32.const 93) (call $balance (i32.const 1)))
    (drop (call $output (i32.const 85) (i32.const 16))))

  (func (export "shares_of")
    (call $read_input (i32.const 161) (i32.const 20))
    (i64.store (i32.const 85) (call $number (i32.const 160) (i32.const 21)))
    (drop (call $output (i32.const 85) (i32.const 8))))

  (func (export "total_shares")
    (call $read_input (i32.const 85) (i32.const 0))
    (i64.store (i32.const 85) (call $number (i32.const 200) (i32.const 1)))
    (drop (call $output (i32.const 85) (i32.const 8))))

  ;; What `amount` of a side buys of the other, and both reserves after that: that of the side, that of the other.
  (func $trade (param $side i32) (param $amount i64) (result i64 i64 i64)
    (local $in i64) (local $out i64) (local $net i64) (local $bought i64) (local $after i64)
    (call $refuse_zero (local.get $amount))
    (local.set $in (call $reserve (local.get $side)))
    (local.set $out (call $reserve (i32.xor (local.get $side) (i32.const 1))))
    (if (i64.eqz (local.get $in))
      (then (call $abort (i32.const 6) (i32.const 448) (i32.const 17))))
    (local.set $after (call $sum (local.get $in) (local.get $amount)))
    (local.set $net (i64.sub (local.get $amount) (call $fee (local.get $amount))))
    ;; net / (in + net) is below 1, so that something of the other side always stays.
    (call $multiply_divide (local.get $net) (local.get $out) (i64.add (local.get $in) (local.get $net)))
    drop
    (local.set $bought)
    (call $refuse_nothing (local.get $bought))
    (local.get $bought)
    (local.get $after)
    (i64.sub (local.get $out) (local.get $bought)))

  ;; 0.3%, rounded up. The parts are below 64 bits for every amount.
  (func $fee (param $amount i64) (result i64)
    (i64.add
      (i64.mul (i64.div_u (local.get $amount) (i64.const 1000)) (i64.const 3))
      (i64.div_u
        (i64.add (i64.mul (i64.rem_u (local.get $amount) (i64.const 1000)) (i64.const 3)) (i64.const 999))
        (i64.const 1000))))

  ;; The shares that the amounts at 85 and 93 buy of a pool with `total` shares. Of the one that there is too much of, only what
  ;; is needed for the pool's ratio is left there.
  (func $join (param $total i64) (result i64)
    (local $shares i64) (local $other i64)
    (local.set $shares (call $shares_for (i32.const 0) (local.get $total)))
    (local.set $other (call $shares_for (i32.const 1) (local.get $total)))
    (if (i64.lt_u (local.get $other) (local.get $shares))
      (then (local.set $shares (local.get $other))))
    (call $refuse_nothing (local.get $shares))
    (call $take_for (i32.const 0) (local.get $shares) (local.get $total))
    (call $take_for (i32.const 1) (local.get $shares) (local.get $total))
    (local.get $shares))

  (func $shares_for (param $side i32) (param $total i64) (result i64)
    (call $multiply_divide (i64.load (call $place (local.get $side))) (local.get $total) (call $reserve (local.get $side)))
    drop)

  ;; Puts down the amount of a side that `shares` cost: rounded up, and never more than was offered for them.
  (func $take_for (param $side i32) (param $shares i64) (param $total i64)
    (local $rest i64) (local $amount i64)
    (call $multiply_divide (local.get $shares) (call $reserve (local.get $side)) (local.get $total))
    (local.set $rest)
    (local.set $amount)
    (i64.store (call $place (local.get $side))
      (i64.add (local.get $amount) (i64.extend_i32_u (i64.ne (local.get $rest) (i64.const 0))))))

  ;; Where a side's amount stands in the event of liquidity.
  (func $place (param $side i32) (result i32)
    (i32.add (i32.const 85) (i32.shl (local.get $side) (i32.const 3))))

  (func $pay_in (param $side i32)
    (local $amount i64)
    (local.set $amount (i64.load (call $place (local.get $side))))
    (call $debit (local.get $side) (local.get $amount))
    (call $set_reserve (local.get $side) (call $sum (call $reserve (local.get $side)) (local.get $amount))))

  (func $pay_out (param $side i32) (param $shares i64) (param $total i64)
    (local $reserve i64) (local $amount i64)
    (local.set $reserve (call $reserve (local.get $side)))
    (call $multiply_divide (local.get $shares) (local.get $reserve) (local.get $total))
    drop
    (local.set $amount)
    (call $refuse_nothing (local.get $amount))
    (call $set_reserve (local.get $side) (i64.sub (local.get $reserve) (local.get $amount)))
    (call $credit (local.get $side) (local.get $amount))
    (i64.store (call $place (local.get $side)) (local.get $amount)))

  (func $debit (param $side i32) (param $amount i64)
    (local $balance i64)
    (local.set $balance (call $balance (local.get $side)))
    (if (i64.lt_u (local.get $balance) (local.get $amount))
      (then (call $abort (i32.const 4) (i32.const 384) (i32.const 31))))
    (call $set_balance (local.get $side) (i64.sub (local.get $balance) (local.get $amount))))

  (func $credit (param $side i32) (param $amount i64)
    (call $set_balance (local.get $side) (call $sum (call $balance (local.get $side)) (local.get $amount))))

  (func $balance (param $side i32) (result i64)
    (i32.store8 (i32.const 149) (local.get $side))
    (call $number (i32.const 128) (i32.const 22)))

  (func $set_balance (param $side i32) (param $balance i64)
    (i32.store8 (i32.const 149) (local.get $side))
    (call $set_number (i32.const 128) (i32.const 22) (local.get $balance)))

  (func $reserve (param $side i32) (result i64)
    (i32.store8 (i32.const 193) (local.get $side))
    (call $number (i32.const 192) (i32.const 2)))

  (func $set_reserve (param $side i32) (param $reserve i64)
    (i32.store8 (i32.const 193) (local.get $side))
    (call $set_number (i32.const 192) (i32.const 2) (local.get $reserve)))

  ;; The number under a key; 0 when the key is absent.
  (func $number (param $key i32) (param $key_len i32) (result i64)
    (if (i64.eqz (call $storage_get (local.get $key) (local.get $key_len)))
      (then (return (i64.const 0))))
    (drop (call $storage_read_value (i32.const 0) (i32.const 8)))
    (i64.load (i32.const 0)))

  ;; Puts a number under a key. A zero is no entry.
  (func $set_number (param $key i32) (param $key_len i32) (param $number i64)
    (if (i64.eqz (local.get $number))
      (then
        (drop (call $storage_delete (local.get $key) (local.get $key_len)))
        (return)))
    (i64.store (i32.const 0) (local.get $number))
    (drop (call $storage_set (local.get $key) (local.get $key_len) (i32.const 0) (i32.const 8))))

  ;; The side that the input names.
  (func $side (result i32)
    (if (i32.gt_u (i32.load8_u (i32.const 85)) (i32.const 1))
      (then (call $abort (i32.const 2) (i32.const 320) (i32.const 27))))
    (i32.load8_u (i32.const 85)))

  (func $refuse_zero (param $amount i64)
    (if (i64.eqz (local.get $amount))
      (then (call $abort (i32.const 3) (i32.const 352) (i32.const 18)))))

  (func $refuse_below (param $minimum i64) (param $found i64)
    (if (i64.lt_u (local.get $found) (local.get $minimum))
      (then (call $abort (i32.const 7) (i32.const 480) (i32.const 40)))))

  (func $refuse_nothing (param $found i64)
    (if (i64.eqz (local.get $found))
      (then (call $abort (i32.const 9) (i32.const 576) (i32.const 43)))))

  (func $sum (param $a i64) (param $b i64) (result i64)
    (if (i64.lt_u (i64.add (local.get $a) (local.get $b)) (local.get $a))
      (then (call $abort (i32.const 8) (i32.const 544) (i32.const 31))))
    (i64.add (local.get $a) (local.get $b)))

  ;; a * b in 128 bits: the high half, the low half.
  (func $multiply (param $a i64) (param $b i64) (result i64 i64)
    (local $cross_a i64) (local $cross_b i64) (local $middle i64)
    ;; (ah * 2^32 + al) * (bh * 2^32 + bl), digit by digit.
    (local.set $cross_a (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (call $low (local.get $b))))
    (local.set $cross_b (i64.mul (call $low (local.get $a)) (i64.shr_u (local.get $b) (i64.const 32))))
    (local.set $middle
      (i64.add
        (i64.shr_u (i64.mul (call $low (local.get $a)) (call $low (local.get $b))) (i64.const 32))
        (i64.add (call $low (local.get $cross_a)) (call $low (local.get $cross_b)))))
    (i64.add
      (i64.add
        (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.shr_u (local.get $b) (i64.const 32)))
        (i64.shr_u (local.get $middle) (i64.const 32)))
      (i64.add (i64.shr_u (local.get $cross_a) (i64.const 32)) (i64.shr_u (local.get $cross_b) (i64.const 32))))
    (i64.mul (local.get $a) (local.get $b)))

  (func $low (param $number i64) (result i64)
    (i64.and (local.get $number) (i64.const 0xffffffff)))

  ;; a * b / c and the rest; 2^64 - 1 and 0 when the quotient does not fit. c is not 0.
  (func $multiply_divide (param $a i64) (param $b i64) (param $c i64) (result i64 i64)
    (local $rest i64) (local $digits i64) (local $left i32) (local $carry i64)
    (call $multiply (local.get $a) (local.get $b))
    (local.set $digits)
    (local.set $rest)
    (if (i64.eqz (local.get $rest))
      (then (return
        (i64.div_u (local.get $digits) (local.get $c))
        (i64.rem_u (local.get $digits) (local.get $c)))))
    (if (i64.ge_u (local.get $rest) (local.get $c))
      (then (return (i64.const -1) (i64.const 0))))
    ;; Long division, a bit at a time: the product's bits leave `digits` at its upper end, the quotient's enter at the lower one.
    ;; Invariant: rest is below c before each round, so that twice the rest less c fits 64 bits.
    (local.set $left (i32.const 64))
    (loop $bit
      (local.set $carry (i64.shr_u (local.get $rest) (i64.const 63)))
      (local.set $rest
        (i64.or (i64.shl (local.get $rest) (i64.const 1)) (i64.shr_u (local.get $digits) (i64.const 63))))
      (local.set $digits (i64.shl (local.get $digits) (i64.const 1)))
      (if (i32.or (i32.wrap_i64 (local.get $carry)) (i64.ge_u (local.get $rest) (local.get $c)))
        (then
          (local.set $rest (i64.sub (local.get $rest) (local.get $c)))
          (local.set $digits (i64.or (local.get $digits) (i64.const 1)))))
      (br_if $bit (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $digits)
    (local.get $rest))

  ;; The largest number whose square is at most a * b, found from its highest bit down.
  (func $root_of_product (param $a i64) (param $b i64) (result i64)
    (local $high i64) (local $low i64) (local $root i64) (local $bit i64) (local $high_of_square i64) (local $low_of_square i64)
    (call $multiply (local.get $a) (local.get $b))
    (local.set $low)
    (local.set $high)
    (local.set $bit (i64.shl (i64.const 1) (i64.const 63)))
    (loop $next
      (call $multiply (i64.or (local.get $root) (local.get $bit)) (i64.or (local.get $root) (local.get $bit)))
      (local.set $low_of_square)
      (local.set $high_of_square)
      (if (i32.or
            (i64.lt_u (local.get $high_of_square) (local.get $high))
            (i32.and
              (i64.eq (local.get $high_of_square) (local.get $high))
              (i64.le_u (local.get $low_of_square) (local.get $low))))
        (then (local.set $root (i64.or (local.get $root) (local.get $bit)))))
      (local.set $bit (i64.shr_u (local.get $bit) (i64.const 1)))
      (br_if $next (i64.ne (local.get $bit) (i64.const 0))))
    (local.get $root))

  (func $emit (param $letter i32) (param $len i32)
    (i32.store8 (i32.const 64) (local.get $letter))
    (drop (call $emit_event (i32.const 64) (local.get $len))))

  ;; Copies the input to `at`, when it has `len` bytes, and puts the caller into the event and the keys that do not come from the
  ;; input.
  (func $read_input (param $at i32) (param $len i32)
    (drop (call $caller (i32.const 65)))
    (memory.copy (i32.const 129) (i32.const 65) (i32.const 20))
    (memory.copy (i32.const 161) (i32.const 65) (i32.const 20))
    (if (i32.ne (call $input (local.get $at) (i32.add (local.get $len) (i32.const 1))) (local.get $len))
      (then (call $abort (i32.const 1) (i32.const 256) (i32.const 52))))))
