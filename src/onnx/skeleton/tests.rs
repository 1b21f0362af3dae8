use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::wire::field;
use super::*;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

fn graphs() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")];
    let mut graphs = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(end) if end == "onnx" => graphs.push(path),
                _ => {}
            }
        }
    }
    assert!(graphs.len() > 40);
    graphs
}

/// Counts what is read of a file.
struct Meter<R>(R, usize);

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(into)?;
        self.1 += count;
        Ok(count)
    }
}

impl<R: Seek> Seek for Meter<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_graph_of_small_constants_comes_back_byte_for_byte() {
    let mut same = 0;
    for path in graphs() {
        let file = std::fs::read(&path).unwrap();
        let skeleton = Skeleton::parse(&file).unwrap();
        let stays =
            |tensor: &Initializer| matches!(&tensor.place, Place::File { location, .. } if location == "model.onnx");
        if !skeleton.initializers.iter().any(stays) {
            assert!(skeleton.to_bytes() == file, "{}", path.display());
            same += 1;
        }
    }
    assert!(same > 20, "{same}");
}

#[test]
fn weights_stay_in_the_file_they_were_read_from() {
    for path in graphs() {
        let file = std::fs::read(&path).unwrap();
        let skeleton = Skeleton::parse(&file).unwrap();
        let whole = whole_initializers(&file);
        assert_eq!(whole.len(), skeleton.initializers.len());
        for (tensor, whole) in skeleton.initializers.iter().zip(whole) {
            assert_eq!(tensor.name, whole.name);
            if let Place::File { location, offset, length } = &tensor.place
                && location == "model.onnx"
            {
                let (from, length) = (*offset as usize, *length as usize);
                assert!(file[from..from + length] == whole.raw, "{} of {}", tensor.name, path.display());
                assert!(length >= 1024);
            }
        }
        // What was written is read as the same graph.
        let again = Skeleton::parse(&skeleton.to_bytes()).unwrap();
        let places =
            |skeleton: &Skeleton| skeleton.initializers.iter().map(|tensor| tensor.place.clone()).collect::<Vec<_>>();
        assert_eq!(places(&again), places(&skeleton));
        assert!(again.to_bytes() == skeleton.to_bytes());
    }
}

/// As prost alone reads them.
fn whole_initializers(file: &[u8]) -> Vec<messages::Tensor> {
    #[derive(Clone, PartialEq, Message)]
    struct Model {
        #[prost(message, optional, tag = "7")]
        graph: Option<Graph>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Graph {
        #[prost(message, repeated, tag = "5")]
        initializers: Vec<messages::Tensor>,
    }
    Model::decode(file).unwrap().graph.unwrap().initializers
}

/// Why a file is refused.
fn fault(file: &[u8]) -> String {
    Skeleton::parse(file).map(drop).unwrap_err().to_string()
}

/// A model of one large constant.
fn model(tensor: &[u8]) -> Vec<u8> {
    field(7, &field(5, tensor))
}

fn large(element: Element, sizes: &[i64]) -> messages::Tensor {
    messages::Tensor { name: "w".to_owned(), element: element.code(), sizes: sizes.to_vec(), ..Default::default() }
}

#[test]
fn a_large_weight_is_never_read() {
    let tensor = messages::Tensor { raw: vec![7; 64 << 20], ..large(Element::F32, &[16 << 20]) };
    let mut file = Meter(Cursor::new(model(&tensor.encode_to_vec())), 0);
    let skeleton = Skeleton::read(&mut file, "unet.onnx").unwrap();
    assert!(file.1 < 1 << 18, "{} bytes were read", file.1);
    let Place::File { location, length, .. } = &skeleton.initializers()[0].place else { panic!("it was read") };
    assert_eq!((location.as_str(), *length), ("unet.onnx", 64 << 20));
    assert!(skeleton.to_bytes().len() < 200);
}

#[test]
fn typed_values_stay_only_where_they_lie_as_in_memory() {
    let floats = messages::Tensor { floats: vec![0.5; 300], ..large(Element::F32, &[300]) };
    let skeleton = Skeleton::parse(&model(&floats.encode_to_vec())).unwrap();
    assert!(matches!(skeleton.initializers[0].place, Place::File { length: 1200, .. }));
    // The bits of 16-bit floats stand there as numbers of varying length.
    let halves = messages::Tensor { integers: vec![0x3c00; 600], ..large(Element::F16, &[600]) };
    let file = model(&halves.encode_to_vec());
    let skeleton = Skeleton::parse(&file).unwrap();
    assert_eq!(skeleton.initializers[0].place, Place::Inline([0x00, 0x3c].repeat(600)));
    assert!(skeleton.to_bytes() == file);
}

#[test]
fn values_that_do_not_fit_their_shape_are_refused() {
    for sizes in [[299].as_slice(), &[301], &[300, 2], &[-300], &[i64::MAX, i64::MAX]] {
        let tensor = messages::Tensor { raw: vec![0; 1200], ..large(Element::F32, sizes) };
        let error = fault(&model(&tensor.encode_to_vec()));
        assert!(error.starts_with("it must be an ONNX model: w "), "{error}");
    }
}

#[test]
fn a_file_outside_of_the_folder_is_refused() {
    for location in ["../secret", "/etc/passwd", "a/../../b", "..\\b", "C:b", ""] {
        let mut tensor = large(Element::F32, &[300]);
        tensor.location = 1;
        tensor.external = vec![messages::Entry { key: "location".to_owned(), value: location.to_owned() }];
        let error = fault(&model(&tensor.encode_to_vec()));
        assert!(error.contains("must be in a file of the model's folder"), "{error}");
    }
}

#[test]
fn every_cut_of_a_file_is_refused_or_read_and_never_more() {
    let file = golden("graphs/unet.onnx");
    for end in 0..file.len() {
        // What ends between two fields is a shorter message, which protobuf cannot tell.
        if let Ok(skeleton) = Skeleton::parse(&file[..end]) {
            assert!(skeleton.to_bytes().len() <= file.len());
        }
    }
    for at in 0..file.len() {
        for other in [0x00, 0x7f, 0x80, 0xff] {
            let mut file = file.clone();
            file[at] = other;
            let _ = Skeleton::parse(&file);
        }
    }
}

#[test]
fn a_length_beyond_the_end_takes_no_memory() {
    for bytes in
        [&[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..], &[0x3a, 0x04, 0x2a, 0xff, 0xff, 0x7f]]
    {
        let error = fault(bytes);
        assert!(error.contains("is cut off"), "{error}");
    }
    let endless = [0xff; 11];
    assert!(fault(&endless).contains("more than 64 bits"));
    let group = [0x3b, 0x3c];
    assert!(fault(&group).contains("wire type 3"));
}

#[test]
fn a_million_empty_nodes_are_refused() {
    let file = field(7, &[0x0a, 0x00].repeat(9 << 18));
    assert!(fault(&file).contains("more than 256 MiB"));
}
