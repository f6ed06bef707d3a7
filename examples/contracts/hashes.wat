;; SHA-256 and Keccak-256 of the call's input.
;;
;; sha256()
;; keccak256()
;;   Input: 0 to 65504 bytes; a longer one aborts the call. Output: the 32 bytes of the digest.
(module
  (import "chain_api" "input_len" (func $input_len (result i32)))
  (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
  (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
  (import "chain_api" "abort" (func $abort (param i32 i32 i32)))
  (import "crypto_api" "sha256" (func $sha256 (param i32 i32 i32) (result i32)))
  (import "crypto_api" "keccak256" (func $keccak256 (param i32 i32 i32) (result i32)))

  ;; 0..32 the digest, 32..65536 the input. The message stands where the input will be.
  (memory (export "memory") 1)
  (data (i32.const 32) "the input is longer than 65504 bytes")

  (func (export "sha256")
    (drop (call $sha256 (i32.const 32) (call $read) (i32.const 0)))
    (drop (call $output (i32.const 0) (i32.const 32))))

  (func (export "keccak256")
    (drop (call $keccak256 (i32.const 32) (call $read) (i32.const 0)))
    (drop (call $output (i32.const 0) (i32.const 32))))

  ;; Puts the input at 32 and returns its length.
  (func $read (result i32)
    (if (i32.gt_u (call $input_len) (i32.const 65504))
      (then (call $abort (i32.const 1) (i32.const 32) (i32.const 36))))
    (call $input (i32.const 32) (i32.const 65504))))
