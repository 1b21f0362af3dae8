//! The table.

use super::*;
use crate::diffusion::SchedulerConfig;

#[test]
fn every_sampler_is_found_by_its_name_and_by_its_class() {
    for sampler in SAMPLERS {
        assert_eq!(find(sampler.name), Some(sampler));
        if !sampler.class.is_empty() && sampler.name != "dpmpp_2m_sde" {
            assert_eq!(of_class(sampler.class), Some(sampler));
        }
    }
}

#[test]
fn a_configuration_chooses_the_sampler_that_its_makers_chose() {
    for (text, name) in [
        ("{}", Some("ddim")),
        (r#"{"_class_name": "DPMSolverMultistepScheduler"}"#, Some("dpmpp_2m")),
        (
            r#"{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}"#,
            Some("dpmpp_2m_sde"),
        ),
        (r#"{"_class_name": "DPMSolverSDEScheduler"}"#, Some("dpmpp_sde")),
        (r#"{"_class_name": "KDPM2AncestralDiscreteScheduler"}"#, Some("dpm2_ancestral")),
        (r#"{"_class_name": "DPMSolverSinglestepScheduler"}"#, None),
        (r#"{"_class_name": ""}"#, None),
    ] {
        let config = SchedulerConfig::parse(text).unwrap();
        assert_eq!(of_config(&config).map(|sampler| sampler.name), name, "{text}");
    }
}

#[test]
fn plms_is_pndm_and_what_is_unknown_is_nothing() {
    assert_eq!(find("plms"), of_class("PNDMScheduler"));
    assert_eq!(of_class("FlowMatchEulerDiscreteScheduler"), None);
    assert_eq!(find("Euler"), None);
}
