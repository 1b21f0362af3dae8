//! Disk, memory, heat and power.

use super::Facts;
use crate::http::exposition::Exposition;
use crate::service::Heat;

pub(super) fn write(text: &mut Exposition, facts: &Facts<'_>) {
    let vitals = &facts.now.vitals;
    text.gauge("diffused_store_bytes", "What the store holds: jobs, pictures, mail and uploads.")
        .maybe(facts.stored.map(|stored| stored.bytes));
    text.gauge("diffused_store_capacity_bytes", "What the store may hold.").maybe(facts.store_bytes);
    text.gauge("diffused_disk_free_bytes", "What the disk of the store has free for us.").maybe(vitals.disk);
    text.gauge("diffused_memory_available_bytes", "Memory that programs can still have.").maybe(vitals.memory);
    text.gauge("process_resident_memory_bytes", "Memory that the process holds.").maybe(vitals.resident);
    let mut zones = text.gauge("diffused_temperature_celsius", "How hot it is, by the board's names of its zones.");
    for (zone, celsius) in &vitals.zones {
        zones.of("zone", zone, celsius);
    }
    let rests = u8::from(vitals.heat != Heat::Cool);
    text.gauge("diffused_resting", "1 while the work rests between its steps because it is hot.").is(rests);
    text.gauge("diffused_power_watts", "What the board draws.").maybe(vitals.watts);
    text.counter("diffused_energy_joules_total", "What the board drew since the start, while that could be read.")
        .is(vitals.tally.joules);
    text.gauge("diffused_gpu_busy_ratio", "How busy the GPU is, 0 to 1.").maybe(vitals.gpu_load);
    text.counter(
        "diffused_throttle_events_total",
        "How often the hardware slowed itself down since it was switched on.",
    )
    .maybe(vitals.throttle_events);
    text.counter("diffused_slowed_seconds_total", "Time that slower clocks took from the work since the start.")
        .is(vitals.tally.lost.as_secs_f64());
}
