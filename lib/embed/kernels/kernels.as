// The hot loops of neighbours and t-SNE. Numbers and tables stand in one shared memory, laid out by TypeScript; every
// argument of type usize is an address in it, in bytes. There are no globals, so any number of threads may call.
//
// Products are added without rounding in between where the processor can (relaxed SIMD): the last bits depend on it.

export { forward, inverse } from "./fft";
export { columnsForward, columnsInverse, gather, kernelColumns, kernelRows, rows, spread } from "./mesh";
export {
  convolveY,
  forwardX,
  forwardZ,
  gather3,
  inverseX,
  inverseZ,
  kernelX,
  kernelY,
  kernelZ,
  repelNear,
  sortIntoCells,
  spread3,
} from "./mesh_3d";
export { attract, logDistances, move, repelExact } from "./descent";
export { attract3, logDistances3, move3, repelExact3 } from "./descent_3d";
export { frame, nearest, sort, squares } from "./nearest";
