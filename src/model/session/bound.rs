//! A graph's values in memory of their own: what goes into a pass and comes out of it stays where the accelerator has it.
//!
//! What is the same as in the pass before, such as the conditioning of a sampler's steps, is not written again. On a GPU
//! it is written to page-locked memory first, from where the device takes it fastest, and all addresses stay the same, as a
//! recorded pass needs it.

use std::time::{Duration, Instant};

use half::f16;
use ndarray::ArrayD;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::{DynTensor, DynTensorValueType, DynValue, PrimitiveTensorElementType, TensorElementType};

use super::Feed;
use crate::model::accelerator::Home;

/// The values of passes of one shape.
pub(super) struct Bound {
    inputs: Vec<Input>,
    outputs: Vec<String>,
    binding: IoBinding,
    home: Home,
}

struct Input {
    name: String,
    shape: Vec<usize>,
    element: TensorElementType,
    /// What was written last.
    value: Option<ArrayD<f32>>,
    host: DynTensor,
    device: Option<DynTensor>,
}

impl Bound {
    /// Memory for passes with the shapes of `feeds`, of which the outputs `wanted` are read.
    pub(super) fn new(session: &Session, home: Home, feeds: &[Feed], wanted: &[String]) -> ort::Result<Self> {
        let mut binding = session.create_binding()?;
        let memories = Memories::of(session, home)?;
        let inputs = feeds.iter().map(|feed| Input::new(&memories, feed)).collect::<ort::Result<_>>()?;
        for name in wanted {
            // ONNX Runtime keeps what it takes for them in the first pass.
            binding.bind_output_to_device(name, &memory(home)?)?;
        }
        Ok(Self { inputs, outputs: wanted.to_vec(), binding, home })
    }

    /// Whether a pass has these shapes and outputs.
    pub(super) fn fits(&self, feeds: &[Feed], wanted: &[String]) -> bool {
        let same = |(input, feed): (&Input, &Feed)| input.name == feed.port.name && input.shape == feed.value.shape();
        self.outputs == wanted && self.inputs.len() == feeds.len() && self.inputs.iter().zip(feeds).all(same)
    }

    /// One pass. Also how long the graph itself ran, without the copies before and after.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        feeds: Vec<Feed>,
        options: &RunOptions,
    ) -> ort::Result<(Vec<ArrayD<f32>>, Duration)> {
        for (input, feed) in self.inputs.iter_mut().zip(feeds) {
            if input.write(feed.value)? {
                let bound = self.binding.bind_input(&input.name, input.device.as_ref().unwrap_or(&input.host));
                // What is written and not bound would count as known in the next pass.
                bound.inspect_err(|_| input.value = None)?;
            }
        }
        let begun = Instant::now();
        let mut outputs = session.run_binding_with_options(&self.binding, options)?;
        let ran = begun.elapsed();
        let mut value = |name: &String| match outputs.remove(name) {
            Some(value) => floats(value, self.home),
            None => Err(ort::Error::new(format!("there is no output {name}"))),
        };
        Ok((self.outputs.iter().map(&mut value).collect::<ort::Result<_>>()?, ran))
    }
}

impl Input {
    fn new(memories: &Memories, feed: &Feed) -> ort::Result<Self> {
        let (shape, element) = (feed.value.shape().to_vec(), feed.port.element);
        let host = DynTensor::new(&memories.host, element, shape.clone())?;
        let on_device = |device| DynTensor::new(device, element, shape.clone());
        let device = memories.device.as_ref().map(on_device).transpose()?;
        Ok(Self { name: feed.port.name.clone(), shape, element, value: None, host, device })
    }

    /// Whether there was something to write.
    ///
    /// Timesteps between whole ones are cut off for graphs that take whole ones only, as diffusers' pipelines do.
    fn write(&mut self, value: ArrayD<f32>) -> ort::Result<bool> {
        if self.value.as_ref() == Some(&value) {
            return Ok(false);
        }
        // Should anything fail here, nobody takes what is there for what was written.
        self.value = None;
        let host = &mut self.host;
        match self.element {
            TensorElementType::Float32 => fill(host, &value, |number| number),
            TensorElementType::Float16 => fill(host, &value, f16::from_f32),
            TensorElementType::Float64 => fill(host, &value, f64::from),
            TensorElementType::Int32 => fill(host, &value, |number| number as i32),
            _ => fill(host, &value, |number| number as i64),
        }?;
        if let Some(device) = &mut self.device {
            self.host.copy_into(device)?;
        }
        self.value = Some(value);
        Ok(true)
    }
}

/// What values are taken from.
struct Memories {
    host: Allocator,
    device: Option<Allocator>,
}

impl Memories {
    fn of(session: &Session, home: Home) -> ort::Result<Self> {
        let Home::Cuda(device) = home else { return Ok(Self { host: Allocator::default(), device: None }) };
        let pinned =
            MemoryInfo::new(AllocationDevice::CUDA_PINNED, device, AllocatorType::Device, MemoryType::CPUInput)?;
        let host = Allocator::new(session, pinned)?;
        Ok(Self { host, device: Some(Allocator::new(session, memory(home)?)?) })
    }
}

fn memory(home: Home) -> ort::Result<MemoryInfo<'static>> {
    let (device, number) = match home {
        Home::Host => (AllocationDevice::CPU, 0),
        Home::Cuda(number) => (AllocationDevice::CUDA, number),
    };
    MemoryInfo::new(device, number, AllocatorType::Device, MemoryType::Default)
}

fn fill<T: PrimitiveTensorElementType>(to: &mut DynTensor, from: &ArrayD<f32>, as_it: fn(f32) -> T) -> ort::Result<()> {
    to.try_extract_array_mut::<T>()?.zip_mut_with(from, |to, from| *to = as_it(*from));
    Ok(())
}

fn floats(value: DynValue, home: Home) -> ort::Result<ArrayD<f32>> {
    let value = match home {
        Home::Host => value,
        Home::Cuda(_) => value.downcast::<DynTensorValueType>()?.to(AllocationDevice::CPU, 0)?.into_dyn(),
    };
    match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => Ok(value.try_extract_array::<f16>()?.mapv(f16::to_f32)),
        Some(TensorElementType::Bool) => Ok(value.try_extract_array::<bool>()?.mapv(|flag| f32::from(u8::from(flag)))),
        _ => Ok(value.try_extract_array::<f32>()?.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{Array4, ArrayD};

    use super::super::{Feed, MOST_RECORDED, Options, Port, Session};
    use crate::model::blueprint::Blueprint;
    use crate::model::testing::{bundled, runtime};

    /// The bundled model's decoder, and its input.
    fn decoder(records: bool) -> (Session, Port) {
        let graph = Blueprint::as_exported(&bundled("shapes/vae_decoder/model.onnx"));
        let options = Options { threads: Some(1), ..Options::default() };
        let (session, ports) = Session::open(runtime(), graph, &options).unwrap();
        (Session { records, ..session }, ports.input(&["latent_sample"], &[4]).unwrap().clone())
    }

    fn latents(width: usize, shift: f32) -> ArrayD<f32> {
        Array4::from_shape_fn([1, 4, 2, width], |(_, c, y, x)| shift + (c * 5 + y * 3 + x) as f32 / 9.0).into_dyn()
    }

    fn pass((session, port): &mut (Session, Port), value: ArrayD<f32>) -> ArrayD<f32> {
        let feeds = vec![Feed { port: port.clone(), value }];
        session.run(feeds, &["sample".to_owned()], &Arc::new).unwrap().0.remove(0)
    }

    #[test]
    fn what_comes_out_belongs_to_what_went_in_whatever_went_before() {
        let passes = [(2, 0.0), (2, 0.0), (2, 0.5), (4, 0.5), (2, 0.5), (4, 0.0), (4, 0.5)];
        let alone = |(width, shift)| pass(&mut decoder(false), latents(width, shift));
        for records in [false, true] {
            let mut session = decoder(records);
            for (width, shift) in passes {
                let (got, expected) = (pass(&mut session, latents(width, shift)), alone((width, shift)));
                assert_eq!(got, expected, "{width} {shift} {records}");
            }
        }
        assert_ne!(alone((2, 0.0)), alone((2, 0.5)), "the control");
    }

    #[test]
    fn only_what_changed_is_written() {
        let mut session = decoder(false);
        pass(&mut session, latents(2, 0.0));
        let input = &mut session.0.bound[0].inputs[0];
        assert!(!input.write(latents(2, 0.0)).unwrap());
        assert!(input.write(latents(2, 0.5)).unwrap());
        assert!(input.write(latents(2, f32::NAN)).unwrap());
        assert!(input.write(latents(2, f32::NAN)).unwrap(), "nobody knows that they are the same");
    }

    #[test]
    fn a_shape_that_is_recorded_keeps_its_place_and_without_recording_the_last_one_has_the_memory() {
        let (mut plain, mut recording) = (decoder(false), decoder(true));
        let widths = 1..=MOST_RECORDED + 2;
        for width in widths.clone() {
            pass(&mut plain, latents(width, 0.0));
            pass(&mut recording, latents(width, 0.0));
        }
        assert_eq!((plain.0.bound.len(), recording.0.bound.len()), (1, MOST_RECORDED + 1));
        let place = |width: usize| recording.0.bound.iter().position(|bound| bound.inputs[0].shape[3] == width);
        let places: Vec<_> = widths.map(place).collect();
        let mut expected: Vec<_> = (0..MOST_RECORDED).map(Some).collect();
        expected.extend([None, Some(MOST_RECORDED)]);
        assert_eq!(places, expected);
    }
}
