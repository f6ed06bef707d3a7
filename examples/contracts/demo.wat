;; Storage, events and the chain context in one call.
;;
;; process() -> i64
;;   Counts its calls under the key "calls", notes the block under the key "last_block", emits the events UserAction and
;;   BlockProcessed, and returns block number + timestamp.
;; calls() -> i64
;;   How often process has succeeded.
;;
;; Numbers in storage are 8 bytes, little-endian.
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "block_number" (func $block_number (result i64)))
  (import "chain_api" "timestamp" (func $timestamp (result i64)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))

  (memory (export "memory") 1)
  (data (i32.const 0) "calls")
  (data (i32.const 16) "last_block")
  (data (i32.const 32) "UserAction")
  (data (i32.const 48) "BlockProcessed")
  ;; 64..72: the number that is being read or written.

  ;; A host function answers 0 when it did what it was asked; anything else ends the call.
  (func $must (param $status i32)
    (if (local.get $status) (then unreachable)))

  (func $calls (export "calls") (result i64)
    (if (i64.eqz (call $storage_get (i32.const 0) (i32.const 5))) (then (return (i64.const 0))))
    (drop (call $storage_read_value (i32.const 64) (i32.const 8)))
    (i64.load (i32.const 64)))

  (func (export "process") (result i64)
    (i64.store (i32.const 64) (i64.add (call $calls) (i64.const 1)))
    (call $must (call $storage_set (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 8)))
    (call $must (call $emit_event (i32.const 32) (i32.const 10)))

    (i64.store (i32.const 64) (call $block_number))
    (call $must (call $storage_set (i32.const 16) (i32.const 10) (i32.const 64) (i32.const 8)))
    (call $must (call $emit_event (i32.const 48) (i32.const 14)))

    (i64.add (call $block_number) (call $timestamp))))
