//! An ONNX file, what it says of itself, and every edit of its graph.

#![no_main]

use diffused::onnx::{Modules, Skeleton, edit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(skeleton) = Skeleton::parse(file) else { return };
    for name in ["sample", "input_ids"] {
        let _ = (skeleton.input(name), skeleton.output(name), skeleton.first_kernel(name));
    }
    let _ = skeleton.halvings();
    let _ = Modules::of(&skeleton).iter().count();
    let again = Skeleton::parse(&skeleton.to_bytes()).expect("what was written is read again");
    assert_eq!(again.initializers().len(), skeleton.initializers().len());
    let _ = edit::clip_skip(&mut skeleton.clone(), 1);
    let _ = edit::states_before_last(&mut skeleton.clone(), 1);
    let _ = edit::unshare(&mut skeleton.clone());
    let tables: Vec<String> = skeleton.initializers().iter().map(|weight| weight.name.clone()).take(4).collect();
    for table in tables {
        let _ = edit::own_ids(&mut skeleton.clone(), &table);
    }
});
