import { describe, expect, test } from "vitest";
import { isSoftwareAdapter } from "../../lib/runtime/webgpu.ts";

const info = (description: string, vendor = "", device = "", architecture = "") => ({
  vendor,
  device,
  architecture,
  description,
});

describe("isSoftwareAdapter", () => {
  test.each([
    info("llvmpipe (LLVM 15.0.6, 256 bits)", "65541", "0"),
    info("SwiftShader Device (Subzero)", "6880", "49374"),
    info("SwiftShader Device (LLVM 10.0.0)", "6880", "49374"),
    info("Microsoft Basic Render Driver", "5140", "140"),
    info("Virtio-GPU Venus (llvmpipe (LLVM 17.0.6, 256 bits))", "65541", "0"),
    info("", "google", "0xc0de", "swiftshader"),
  ])("refuses $description $architecture", (adapter) => {
    expect(isSoftwareAdapter(adapter)).toBe(true);
  });

  test.each([
    info("NVIDIA GeForce RTX 3060", "4318", "9476"),
    info("NVIDIA H200", "4318", "9013"),
    info("AMD Radeon RX 6800 XT (RADV NAVI21)", "4098", "29631"),
    info("Intel(R) UHD Graphics 620 (KBL GT2)", "32902", "22807"),
    info("Intel(R) Arc(tm) A770 Graphics (DG2)", "32902", "22176"),
    info("Apple M2 Pro", "0", "0"),
    info("Adreno (TM) 740", "20803", "0"),
    info("Mali-G710", "5045", "0"),
  ])("accepts $description", (adapter) => {
    expect(isSoftwareAdapter(adapter)).toBe(false);
  });

  test("believes the platform when it calls an adapter a fallback", () => {
    expect(isSoftwareAdapter({ ...info("Some GPU"), isFallbackAdapter: true })).toBe(true);
    expect(isSoftwareAdapter({ ...info("Some GPU"), isFallbackAdapter: false })).toBe(false);
  });
});
