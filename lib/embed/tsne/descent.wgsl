// An iteration of t-SNE on a graphics card: repulsion over all pairs, attraction over the neighbours, and the step.
//
// In front of this text stands what depends on the dimensions: what a `Place` on the map is, in three dimensions with a
// last number that is always 0; how many degrees of FREEDOM the likeness of two points has; and `likeness`, that of points
// of which 1 / (1 + d² / FREEDOM) is known. Nothing is added up in an order that could change from run to run.

/// Points that a workgroup keeps at hand for all its invocations; it repels as many.
const TILE = 128u;
/// Invocations that share a point's neighbours, and points that a workgroup attracts.
const LANES = 16u;
const ROWS = 16u;
/// Invocations that add up, or that move points.
const WIDE = 256u;
/// No step is longer, in units of the map; as in descent.as.
const LONGEST = 5.0;
/// Where places that fill up a tile stand: so far that their repulsion is 0.
const FAR = 1e18;

struct Problem {
  count: u32,
  /// The tiles of a slice. Where points are few, each is repelled by several invocations, one a slice.
  tiles: u32,
  slices: u32,
}

struct Chunk {
  /// The first tile of the points that are repelled.
  first: u32,
}

struct Phase {
  exaggeration: f32,
  rate: f32,
  momentum: f32,
}

struct Totals {
  z: f32,
  logs: f32,
}

@group(0) @binding(0) var<uniform> problem: Problem;
@group(0) @binding(1) var<uniform> chunk: Chunk;
@group(0) @binding(2) var<uniform> phase: Phase;
@group(0) @binding(3) var<storage, read_write> points: array<Place>;
@group(0) @binding(4) var<storage, read_write> repulsion: array<Place>;
@group(0) @binding(5) var<storage, read_write> z_parts: array<f32>;
@group(0) @binding(6) var<storage, read> starts: array<u32>;
@group(0) @binding(7) var<storage, read> neighbors: array<u32>;
@group(0) @binding(8) var<storage, read> affinities: array<f32>;
@group(0) @binding(9) var<storage, read_write> attraction: array<Place>;
@group(0) @binding(10) var<storage, read_write> log_parts: array<f32>;
@group(0) @binding(11) var<storage, read_write> totals: Totals;
@group(0) @binding(12) var<storage, read_write> steps: array<Place>;
@group(0) @binding(13) var<storage, read_write> gains: array<Place>;

var<workgroup> tile: array<Place, TILE>;
var<workgroup> places: array<Place, WIDE>;
var<workgroup> sums: array<vec2f, WIDE>;

/// Adds up `sums` of so many invocations, a power of 2, into the first.
fn add_up(lane: u32, many: u32) {
  for (var half = many / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      sums[lane] += sums[lane + half];
    }
  }
}

/// 1 / (1 + d² / FREEDOM)
fn nearness(d: Place) -> f32 {
  return 1.0 / (1.0 + dot(d, d) * (1.0 / FREEDOM));
}

/// What other points do to one.
struct Repulsion {
  force: Place,
  z: f32,
}

fn plus(sum: Repulsion, d: Place) -> Repulsion {
  let near = nearness(d);
  let q = likeness(near);
  return Repulsion(sum.force + q * near * d, sum.z + q);
}

/// For the points of one tile, the sum over one slice of likeness · nearness · (a - b), the repulsion before the division
/// by Z; and the workgroup's part of Z, the sum of the likenesses, each point with itself left out.
@compute @workgroup_size(TILE)
fn repel(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let own = chunk.first + group.x;
  let i = own * TILE + lane;
  let here = points[min(i, problem.count - 1u)];
  let end = min((group.y + 1u) * problem.tiles, (problem.count + TILE - 1u) / TILE);
  var force = Place();
  var z = 0.0;
  for (var t = group.y * problem.tiles; t < end; t++) {
    let j = t * TILE + lane;
    tile[lane] = Place(FAR);
    if (j < problem.count) {
      tile[lane] = points[j];
    }
    workgroupBarrier();
    // A tile's sum first: so less is lost in rounding.
    var part = Repulsion(Place(), select(0.0, -1.0, t == own));
    for (var k = 0u; k < TILE; k += 4u) {
      part = plus(part, here - tile[k]);
      part = plus(part, here - tile[k + 1u]);
      part = plus(part, here - tile[k + 2u]);
      part = plus(part, here - tile[k + 3u]);
    }
    force += part.force;
    z += part.z;
    workgroupBarrier();
  }
  sums[lane] = vec2f(0);
  if (i < problem.count) {
    repulsion[group.y * problem.count + i] = force;
    sums[lane].x = z;
  }
  add_up(lane, TILE);
  if (lane == 0u) {
    z_parts[own * problem.slices + group.y] = sums[0].x;
  }
}

/// For each point, the sum over its neighbours of p · nearness · (a - b); and the workgroup's part of Σ p ln(nearness).
@compute @workgroup_size(LANES * ROWS)
fn attract(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let i = group.x * ROWS + index / LANES;
  let lane = index % LANES;
  var force = Place();
  var logs = 0.0;
  if (i < problem.count) {
    let here = points[i];
    let end = starts[i + 1u];
    for (var e = starts[i] + lane; e < end; e += LANES) {
      let d = here - points[neighbors[e]];
      let near = nearness(d);
      force += affinities[e] * near * d;
      logs += affinities[e] * log(near);
    }
  }
  places[index] = force;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      places[index] += places[index + half];
    }
  }
  if (lane == 0u && i < problem.count) {
    attraction[i] = places[index];
  }
  sums[index] = vec2f(logs, 0);
  add_up(index, LANES * ROWS);
  if (index == 0u) {
    log_parts[group.x] = sums[0].x;
  }
}

/// Adds up the parts of Z and of Σ p ln(nearness).
@compute @workgroup_size(WIDE)
fn total(@builtin(local_invocation_index) lane: u32) {
  var sum = vec2f(0);
  for (var part = lane; part < arrayLength(&z_parts); part += WIDE) {
    sum.x += z_parts[part];
  }
  for (var part = lane; part < arrayLength(&log_parts); part += WIDE) {
    sum.y += log_parts[part];
  }
  sums[lane] = sum;
  add_up(lane, WIDE);
  if (lane == 0u) {
    totals = Totals(sums[0].x, sums[0].y);
  }
}

/// Moves the points: gradient = exaggeration · attraction - repulsion / Z, with a momentum and a gain for each
/// coordinate (Jacobs 1988, as in van der Maaten's code).
@compute @workgroup_size(WIDE)
fn advance(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= problem.count) {
    return;
  }
  var away = Place();
  for (var slice = 0u; slice < problem.slices; slice++) {
    away += repulsion[slice * problem.count + i];
  }
  let gradient = phase.exaggeration * attraction[i] - away / totals.z;
  var step = steps[i];
  // A step goes against the gradient: as long as the signs differ, the way is right.
  let gain = max(Place(0.01), select(gains[i] + 0.2, gains[i] * 0.8, gradient * step > Place()));
  step = phase.momentum * step - phase.rate * gain * gradient;
  step *= min(1.0, LONGEST / max(length(step), 1.0));
  gains[i] = gain;
  steps[i] = step;
  points[i] += step;
}
