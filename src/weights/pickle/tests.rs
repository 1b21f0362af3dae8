//! Files of PyTorch, and files that are made to do harm.

use zip::CompressionMethod;

use super::{Value, load};
use crate::weights::testing::{archive, global, int, saved, tensor, text};
use crate::weights::{Dtype, WeightsError};

const ZIPPED: &[u8] = include_bytes!("../../../tests/golden/weights/containers.pt");
const DEFLATED: &[u8] = include_bytes!("../../../tests/golden/weights/containers-deflated.pt");
const PROTOCOL_4: &[u8] = include_bytes!("../../../tests/golden/weights/containers-4.pt");
const OLD: &[u8] = include_bytes!("../../../tests/golden/weights/containers-old.pt");

fn refusal(program: &[u8]) -> String {
    load(&saved(program, &[])).unwrap_err().to_string()
}

#[track_caller]
fn assert_tensor(value: Option<&Value>, shape: &[usize], values: &[f32]) {
    let array = value.unwrap().as_tensor().unwrap().to_f32("").unwrap();
    assert_eq!((array.shape(), array.iter().copied().collect::<Vec<_>>()), (shape, values.to_vec()));
}

#[test]
fn every_layout_of_torch_save_gives_the_same_values() {
    for file in [ZIPPED, DEFLATED, PROTOCOL_4, OLD] {
        let value = load(file).unwrap();
        let get = |name: &str| value.get(name);
        assert_eq!(get("none"), Some(&Value::None));
        assert_eq!(get("flags"), Some(&Value::Tuple(vec![Value::Bool(true), Value::Bool(false)])));
        let numbers: Vec<f64> =
            get("numbers").unwrap().elements().unwrap().iter().map(|n| n.as_number().unwrap()).collect();
        assert_eq!(numbers, [0.0, 255.0, 65535.0, -1.0, 2147483648.0, -1099511627776.0, 1.5]);
        assert_eq!(get("text").unwrap().as_text(), Some("é*"));
        let entries = value.entries().unwrap();
        let (_, four) = entries.iter().find(|(key, _)| *key == Value::Int(320)).unwrap();
        assert_eq!(four, &Value::Tuple((1..=4).map(Value::Int).collect()));
        assert_eq!(get("ordered").unwrap().get("b"), Some(&Value::Int(2)));
        assert_eq!(get("size"), Some(&Value::Tuple(vec![Value::Int(2), Value::Int(3)])));
        assert_eq!(get("set"), Some(&Value::List(vec![Value::Int(7)])));
        assert_tensor(get("state").unwrap().get("weight"), &[2], &[1.0, 1.0]);
        assert_tensor(get("parameter"), &[3], &[0.0, 0.25, 0.5]);
        assert_tensor(get("transposed"), &[3, 2], &[0.0, 0.75, 0.25, 1.0, 0.5, 1.25]);
        assert_tensor(get("part"), &[3], &[0.5, 1.0, 1.5]);
        assert_tensor(get("expanded"), &[3, 1], &[0.25; 3]);
        assert_tensor(get("shared").unwrap().elements().unwrap().get(1), &[1], &[0.25]);
        assert_tensor(get("empty"), &[0, 3], &[]);
        for name in ["half", "brain", "double"] {
            assert_tensor(get(name), &[2], &[0.0, 0.25]);
        }
        let scalar = get("scalar").unwrap().as_tensor().unwrap();
        assert_eq!(
            (scalar.dtype(), scalar.shape(), scalar.bytes()),
            (Dtype::I64, [].as_slice(), 265i64.to_le_bytes().as_slice())
        );
        assert_eq!(get("bool").unwrap().as_tensor().unwrap().bytes(), [1, 0]);
    }
    assert_tensor(load(ZIPPED).unwrap().get("parameters").unwrap().get("*"), &[1, 2], &[0.0, 0.25]);
    assert_eq!(load(PROTOCOL_4).unwrap().get("bytes"), Some(&Value::Bytes(vec![0, 255])));
}

#[test]
fn a_file_that_calls_a_function_is_refused_with_its_name() {
    let system = [global("os", "system"), text("whoami"), vec![0x85, b'R', b'.']].concat();
    assert_eq!(refusal(&system), "the file calls os.system, only tensors and plain containers are allowed");
    let named = |module, name| [text(module), text(name), b"\x93.".to_vec()].concat();
    assert!(refusal(&named("builtins", "eval")).starts_with("the file calls builtins.eval,"));
    // The name is put together from memory, past a reader that only looks at what stands before STACK_GLOBAL.
    let remembered = [text("posix"), b"\x940".to_vec(), text("system"), b"\x940h\0h\x01\x93.".to_vec()].concat();
    assert!(refusal(&remembered).starts_with("the file calls posix.system,"));
    assert!(refusal(b"iposix\nsystem\n").starts_with("the file calls posix.system,"));
    let names =
        [("torch", "load"), ("torch.storage", "_load_from_bytes"), ("torch._utils", "_rebuild_tensor.__globals__")];
    for (module, name) in
        names.into_iter().chain([("collections", "OrderedDict.fromkeys"), ("torch", "FloatStorage.from_file")])
    {
        let message = refusal(&[global(module, name), vec![b'.']].concat());
        assert!(message.starts_with(&format!("the file calls {module}.{name},")), "{message}");
    }
    for program in [b"\x82\x01.".as_slice(), b"]\x93.", b"]])R.", b"NNR.", b"K\x01)\x81."] {
        let file = saved(program, &[]);
        assert!(load(&file).is_err(), "{program:?}");
    }
    assert!(refusal(b"K\x01)R.").starts_with("the file calls something that is no function"));
}

#[test]
fn a_state_that_could_run_code_is_refused() {
    let on_a_list = b"]}b.";
    assert_eq!(refusal(on_a_list), "an object with a state of its own is not supported");
    let dict = [global("collections", "OrderedDict"), b")R".to_vec()].concat();
    let no_dict = [dict.clone(), b"K\x01b.".to_vec()].concat();
    assert_eq!(refusal(&no_dict), "an object with a state of its own is not supported");
    let attributes = [dict, b"}".to_vec(), text("__class__"), b"Nsb.".to_vec()].concat();
    assert_eq!(load(&saved(&attributes, &[])).unwrap(), Value::Dict(vec![]), "attributes are not looked at");
}

#[test]
fn a_class_or_a_storage_is_no_value() {
    let class = [global("torch", "FloatStorage"), vec![b'.']].concat();
    assert!(refusal(&class).contains("a class or a bare storage"));
    let id = [vec![b'('], text("module"), b"NNNNtQ.".to_vec()].concat();
    assert_eq!(refusal(&id), "a persistent id that is no whole storage is not supported");
}

#[test]
fn a_tensor_that_reaches_beyond_its_storage_is_refused() {
    let floats: Vec<u8> = (0..6).flat_map(|n| (n as f32).to_le_bytes()).collect();
    let read = |offset: i64, shape: &[i64], strides: &[i64]| {
        let program = [tensor("FloatStorage", "0", offset, shape, strides), vec![b'.']].concat();
        load(&saved(&program, &[("0", &floats)]))
    };
    assert_tensor(read(0, &[2, 3], &[3, 1]).as_ref().ok(), &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_tensor(read(1, &[2, 2], &[1, 3]).as_ref().ok(), &[2, 2], &[1.0, 4.0, 2.0, 5.0]);
    let wrong: [(i64, &[i64], &[i64]); 9] = [
        (1, &[2, 3], &[3, 1]),
        (0, &[7], &[1]),
        (0, &[2], &[6]),
        (6, &[1], &[1]),
        (-1, &[1], &[1]),
        (0, &[2], &[-1]),
        (0, &[2], &[i64::MAX]),
        (i64::MAX, &[2], &[i64::MAX]),
        (0, &[2], &[1, 1]),
    ];
    for (offset, shape, strides) in wrong {
        assert!(read(offset, shape, strides).is_err(), "{offset} {shape:?} {strides:?}");
    }
    let many = read(0, &[1 << 40], &[0]).unwrap_err();
    assert!(matches!(many, WeightsError::TooLarge { what: "the bytes of the values in the file", .. }), "{many}");
    assert!(read(0, &[1; 9], &[1; 9]).is_err());
    let missing = [tensor("FloatStorage", "1", 0, &[1], &[1]), vec![b'.']].concat();
    assert_eq!(refusal(&missing), "the file has no storage \"1\"");
}

#[test]
fn a_bomb_of_shared_lists_is_refused_before_it_grows() {
    // Each list holds the one before ten times: 10^30 values in 900 bytes.
    let mut laughs = b"]q\x00".to_vec();
    for level in 1..=30u8 {
        laughs.extend([b"(".to_vec(), [b'h', level - 1].repeat(10), vec![b'l', b'q', level]].concat());
    }
    laughs.push(b'.');
    assert_eq!(refusal(&laughs), "the number of values in the file must be at most 1000000, got 1000001");
    let texts = [text(&"x".repeat(1 << 20)), b"q\x000(".to_vec(), b"h\x00".repeat(10_000), b"l.".to_vec()].concat();
    assert!(refusal(&texts).starts_with("the bytes of the values in the file must be at most"));
    let tensors = [b"(".to_vec(), tensor("ByteStorage", "0", 0, &[1 << 20], &[1]), b"q\x00".to_vec()].concat();
    let tensors = [tensors, b"h\x00".repeat(10_000), b"l.".to_vec()].concat();
    let error = load(&saved(&tensors, &[("0", &[0; 1 << 20])])).unwrap_err();
    assert!(matches!(error, WeightsError::TooLarge { what: "the bytes of the values in the file", .. }), "{error}");
}

#[test]
fn nesting_without_end_is_refused() {
    let itself = b"]q\x00h\x00a.";
    assert_eq!(refusal(itself), "the depth of the values in the file must be at most 32, got 33");
    let deep = [b")".to_vec(), b"\x85".repeat(500_000), b".".to_vec()].concat();
    assert_eq!(refusal(&deep), "the depth of the values in the file must be at most 32, got 33");
    let marks = b"(".repeat(1_000_001);
    assert!(refusal(&marks).starts_with("the number of marks must be at most 1000000"));
    let doubles = [b"N".to_vec(), b"2".repeat(1_000_001)].concat();
    assert!(refusal(&doubles).starts_with("the height of the stack must be at most 1000000"));
    let objects = b"N0".repeat(1_000_001);
    assert!(refusal(&objects).starts_with("the number of objects in the file must be at most 1000000"));
}

#[test]
fn a_long_list_that_is_called_by_many_names_is_never_copied() {
    // A set of a list of half a million, three hundred thousand times: as copies they would be 600 GB.
    let list = [b"(".to_vec(), b"N".repeat(500_000), b"lq\x00".to_vec()].concat();
    let set = [global("builtins", "set"), b"q\x01".to_vec()].concat();
    let program = [list, set, b"h\x01h\x00\x85R0".repeat(300_000), b"N.".to_vec()].concat();
    assert_eq!(load(&saved(&program, &[])).unwrap(), Value::None);
}

#[test]
fn a_zip_bomb_is_refused_after_its_limit() {
    let zeros = vec![0; 80 << 20];
    let bomb = archive(CompressionMethod::Deflated, b"N.", &[("0", &zeros)]);
    assert!(bomb.len() < 1 << 20);
    let error = load(&bomb).unwrap_err().to_string();
    let limit = (64 << 20) + 8 * bomb.len();
    assert_eq!(error, format!("the bytes of the inflated archive must be at most {limit}, got {}", limit + 1));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for file in [ZIPPED, OLD] {
        for length in (0..file.len()).step_by(7) {
            assert!(load(&file[..length]).is_err(), "{length} bytes were enough");
        }
    }
    for program in [
        b"".as_slice(),
        b"X\xff\xff\xff\x7f",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"h\x00.",
        b".",
        b"t.",
        b"(0.",
        b"(Nd.",
    ] {
        assert!(load(&saved(program, &[])).is_err(), "{program:?}");
    }
    assert_eq!(load(b"").unwrap_err().to_string(), "the file is not from torch.save");
    assert!(load(&saved(b"\x80\x06N.", &[])).unwrap_err().to_string().contains("pickle protocol 6"));
    assert_eq!(load(&saved(&[int(-3), b".".to_vec()].concat(), &[])).unwrap(), Value::Int(-3));
}
