;; The Ethereum address of a secp256k1 public key.
;;
;; address()
;;   Input: a public key, 33 bytes (compressed) or 65 bytes (uncompressed). Output: the 20 bytes of its address.
;;   Aborts when the input is no public key.
(module
  (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
  (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
  (import "chain_api" "abort" (func $abort (param i32 i32 i32)))
  (import "crypto_api" "eth_address" (func $eth_address (param i32 i32 i32) (result i32)))

  ;; 0..20 the address, 32..98 the key: one byte more than a key has, so that a longer input is seen as none.
  (memory (export "memory") 1)
  (data (i32.const 128) "the input is no secp256k1 public key")

  (func (export "address")
    (if (call $eth_address (i32.const 32) (call $input (i32.const 32) (i32.const 66)) (i32.const 0))
      (then (call $abort (i32.const 1) (i32.const 128) (i32.const 36))))
    (drop (call $output (i32.const 0) (i32.const 20)))))
