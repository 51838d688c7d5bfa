/** A cluster of one machine, this one, for tests: as root, in a folder of its own. */

import { join } from "node:path";
import { run } from "../../lib/tools/run.ts";

/** What a cluster needs, as Debian calls it. */
export const PACKAGES = "slurmctld, slurmd, slurm-client and munge";

/** A cluster that runs until it is disposed of. */
export class Cluster implements AsyncDisposable {
  private constructor(readonly env: Readonly<Record<string, string>>, private readonly daemons: Deno.ChildProcess[]) {}

  /** Starts it; undefined where its programs are missing, or this is not root. */
  static async start(folder: string): Promise<Cluster | undefined> {
    if (Deno.uid() !== 0 || !await run("slurmctld", ["-V"]) || !await run("munged", ["--version"])) return undefined;
    const at = (name: string) => join(folder, name);
    await Deno.chmod(folder, 0o755);
    const [host, cores] = [Deno.hostname().split(".")[0], navigator.hardwareConcurrency];
    const [first, second] = freePorts(2);
    await Deno.mkdir(at("state"));
    await Deno.mkdir(at("spool"));
    await Deno.writeFile(at("key"), crypto.getRandomValues(new Uint8Array(1024)), { mode: 0o400 });
    await Deno.writeTextFile(
      at("slurm.conf"),
      [
        "ClusterName=one",
        `SlurmctldHost=${host}(127.0.0.1)`,
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        `AuthInfo=socket=${at("munge.socket")}`,
        `StateSaveLocation=${at("state")}`,
        `SlurmdSpoolDir=${at("spool")}`,
        `SlurmctldPidFile=${at("slurmctld.pid")}`,
        `SlurmdPidFile=${at("slurmd.pid")}`,
        `SlurmctldPort=${first}`,
        `SlurmdPort=${second}`,
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core",
        "JobAcctGatherType=jobacct_gather/none",
        // Jobs begin at once.
        "SchedulerParameters=sched_interval=1,batch_sched_delay=0",
        "ReturnToService=2",
        `NodeName=${host} NodeAddr=127.0.0.1 CPUs=${cores} State=UNKNOWN`,
        "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
        "",
      ].join("\n"),
    );
    const env = { SLURM_CONF: at("slurm.conf") };
    const daemon = (program: string, ...args: string[]) =>
      new Deno.Command(program, { args, env, stdout: "null", stderr: "null", stdin: "null" }).spawn();
    const files = ["socket", "key-file", "pid-file", "log-file", "seed-file"].map((name) =>
      `--${name}=${at(name === "key-file" ? "key" : `munge.${name}`)}`
    );
    const daemons = [
      daemon("munged", "--foreground", "--force", ...files),
      daemon("slurmctld", "-D", "-L", at("slurmctld.log")),
      daemon("slurmd", "-D", "-L", at("slurmd.log")),
    ];
    const cluster = new Cluster(env, daemons);
    for (let tries = 0;; tries++) {
      const { stdout = "" } = await new Deno.Command("sinfo", { args: ["-h", "-o", "%T"], env }).output().then((o) => ({
        stdout: new TextDecoder().decode(o.stdout),
      }));
      if (/idle|mixed|allocated/.test(stdout)) return cluster;
      if (tries === 300) {
        const logs = ["slurmctld.log", "slurmd.log"].map((name) => Deno.readTextFileSync(at(name)).slice(-2000));
        await cluster[Symbol.asyncDispose]();
        throw new Error(`The cluster does not start: ${stdout}\n${logs.join("\n")}`);
      }
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of this.daemons.toReversed()) {
      try {
        daemon.kill("SIGTERM");
      } catch {
        // It has ended by itself.
      }
      await daemon.status;
    }
  }
}

/** Ports that nobody listens on. */
function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map(({ addr }) => (addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return ports;
}
