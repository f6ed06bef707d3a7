//! Deployments beside calls and blocks.

use crate::packs::{GATE, test_pack};
use crate::support::{CALL, SET, contract, escaped, packs};
use std::thread;
use std::time::Duration;
use supervm_engine::block::BlockExecutor;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{Block, MvccStore, Txn};
use supervm_engine::runtime::{
    BlockTransaction, CallArguments, CallContext, Module, Receipt, Runtime, contract_address,
};
use supervm_plugin_sdk::ErrorKind;

/// Long enough for a deployment that waits for nothing; on code that is right it never ends sooner.
const PATIENCE: Duration = Duration::from_millis(300);

const NONE: CallArguments = CallArguments::Values(Vec::new());

fn called() -> String {
    contract(
        &[SET],
        r#"(func (export "run")
            (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))))
        (func (export "trap") (unreachable))"#,
    )
}

/// `run` waits at the gate, then calls the other contract and returns the status of that.
fn caller() -> String {
    let address = contract_address(called().as_bytes()).unwrap();
    contract(
        &["test_api.gate()", CALL],
        &format!(
            r#"(data (i32.const 100) "{}") (data (i32.const 200) "run")
            (func (export "run") (result i64)
                (call $gate)
                (i64.extend_i32_s (call $call (i32.const 100) (i32.const 200) (i32.const 3)
                    (i32.const 0) (i32.const 0) (i64.const -1))))"#,
            escaped(&address)
        ),
    )
}

struct Bench {
    runtime: Runtime,
    caller: Module,
    called: Module,
}

impl Bench {
    fn new() -> Self {
        let mut packs = packs();
        packs.push(test_pack());
        let runtime = Runtime::over(MvccStore::new(), &packs, &ExecutionConfig::default()).unwrap();
        let caller = runtime.module(caller().as_bytes()).unwrap();
        let called = runtime.module(called().as_bytes()).unwrap();
        runtime.deploy(&caller).unwrap();
        Self { runtime, caller, called }
    }

    fn block(&self, number: u64) -> Receipt {
        let transaction = BlockTransaction {
            contract: self.caller.address(),
            function: "run".to_owned(),
            arguments: NONE,
            sender: [1; 20],
            gas_limit: 1_000_000,
            access: None,
        };
        let executor = BlockExecutor::new(1).unwrap();
        let block = Block { number, timestamp: number };
        let ran = self.runtime.run_block(&executor, block, &[transaction], None).unwrap();
        ran.receipts.into_iter().next().unwrap()
    }

    fn is_deployed(&self) -> bool {
        self.runtime.deployed(&self.called.address()).unwrap().is_some()
    }
}

#[test]
fn a_deployment_takes_effect_between_blocks_and_calls_and_never_within_one() {
    let expected = Bench::new().block(1);
    let bench = &Bench::new();
    let call = || {
        let context = CallContext::default();
        bench.runtime.transact(&bench.caller, "run", &NONE, &context, Txn::commit).unwrap()
    };
    // One after the other: there is one gate.
    let (has_come, let_go) = GATE.hold();
    thread::scope(|scope| {
        let block = scope.spawn(|| bench.block(1));
        has_come.recv().unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        scope.spawn(move || {
            bench.runtime.deploy(&bench.called).unwrap();
            let _ = done.send(());
        });
        let has_waited = is_done.recv_timeout(PATIENCE).is_err() && !bench.is_deployed();
        let_go.send(()).unwrap();
        assert_eq!(block.join().unwrap(), expected);
        assert!(has_waited, "it took effect within the block");
    });
    assert!(bench.is_deployed());
    let after = bench.block(2);
    assert_ne!((after.result, after.gas_used), (expected.result, expected.gas_used));
    assert_eq!(after.result, Some(0));
    // A call that is committed by itself.
    let bench = &Bench::new();
    let (has_come, let_go) = GATE.hold();
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let context = CallContext::default();
            bench.runtime.transact(&bench.caller, "run", &NONE, &context, Txn::commit).unwrap()
        });
        has_come.recv().unwrap();
        let deployment = scope.spawn(|| bench.runtime.deploy(&bench.called).unwrap());
        thread::sleep(PATIENCE);
        let has_waited = !bench.is_deployed();
        let_go.send(()).unwrap();
        assert_eq!(running.join().unwrap().result, expected.result);
        assert!(deployment.join().unwrap() && has_waited, "it took effect within the call");
    });
    assert_eq!(call().result, Some(0));
}

#[test]
fn a_deployment_within_a_commit_is_refused_where_it_would_wait_for_itself() {
    let Bench { runtime, called, .. } = Bench::new();
    let context = CallContext::default();
    let own = runtime.module(b"(module (func (export \"run\")))").unwrap();
    let receipt = runtime.transact(&own, "run", &NONE, &context, |txn| {
        let refused = runtime.deploy(&called).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        txn.commit()
    });
    assert_eq!(receipt.unwrap().trap, None);
    assert!(runtime.deploy(&called).unwrap());
    // Once it is deployed, there is nothing to wait for.
    let receipt = runtime.transact(&own, "run", &NONE, &context, |txn| {
        assert!(!runtime.deploy(&called).unwrap());
        txn.commit()
    });
    assert_eq!(receipt.unwrap().trap, None);
}

#[test]
fn a_contract_is_deployed_with_its_first_call_that_succeeds_and_at_the_version_before_it() {
    let Bench { runtime, called, caller } = Bench::new();
    let (address, context) = (called.address(), CallContext::default());
    let transact = |function: &str| {
        runtime.deploy_and_transact(&called, function, &NONE, &context, Txn::commit).unwrap()
    };
    assert!(transact("trap").trap.is_some());
    assert_eq!(runtime.deployed_at(&address).unwrap(), None);
    let mut other = runtime.store().begin();
    other.write(b"other", b"1").unwrap();
    other.commit().unwrap();
    assert_eq!(transact("run").trap, None);
    assert_eq!(runtime.deployed_at(&address).unwrap(), Some(Version(1)));
    assert_eq!(transact("run").trap, None);
    assert!(!runtime.deploy(&called).unwrap());
    assert_eq!(runtime.deployed_at(&address).unwrap(), Some(Version(1)));
    assert_eq!(runtime.deployed_at(&caller.address()).unwrap(), Some(Version::ZERO));
    assert_eq!(runtime.store().last_version(), Version(3));
}
