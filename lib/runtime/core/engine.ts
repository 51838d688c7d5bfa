/**
 * Two things that TensorFlow.js's engine does not offer: to make a backend ready without switching to it, and to
 * visit a backend and come back.
 *
 * @module
 */

import type { TF } from "./types.ts";

/** The fields of tfjs's engine that say which backend is active. */
interface ActiveBackend {
  backendName: string | null | undefined;
  backendInstance: unknown;
}

/**
 * Makes a registered backend ready without switching to it.
 *
 * `tf.setBackend` would switch first, turn a failure into a warning and `false`, and make every other operation throw
 * while an asynchronous backend starts. Here the backend's own error reaches the caller.
 */
export async function makeReady(tf: TF, name: string): Promise<void> {
  if (name in tf.engine().registry) return;
  const factory = tf.findBackendFactory(name);
  if (!factory) {
    throw new Error(`TensorFlow.js knows no backend ${JSON.stringify(name)}: its package did not register it`);
  }
  const backend = await factory();
  tf.removeBackend(name);
  tf.registerBackend(name, () => backend);
  tf.findBackend(name);
}

/**
 * Runs `visit` on another backend that is ready, then makes the one active that was, also after a throw.
 * `visit` is synchronous, so nothing else can run meanwhile and find the wrong backend.
 */
export function visiting<T>(tf: TF, name: string, visit: () => T): T {
  const comeBack = remember(tf);
  try {
    // For a backend that is ready this takes effect before it returns.
    tf.setBackend(name);
    return visit();
  } finally {
    comeBack();
  }
}

/** Remembers which backend is active; what it returns makes that one active again. */
export function remember(tf: TF): () => void {
  const active = tf.getBackend();
  return () => {
    if (active) tf.setBackend(active);
    else Object.assign(tf.engine() as unknown as ActiveBackend, { backendName: undefined, backendInstance: null });
  };
}
