/** What one run of one variant took. Milliseconds and bytes. */
export interface Sample {
  wallMs: number
  /** Processor time of the client's processes, and of the server. */
  clientMs: number
  serverMs: number
  /** What was written by a backup. */
  bytes?: number
  /** Wall time without ANALYZE and integrity, which stock restores do not do. */
  apartMs?: number
  analyzeMs?: number
  integrityMs?: number
  peakRssBytes?: number
  ownCpuMs?: number
  stagingBytes?: number
  /** The worst of all clients: from the last answer of the old database to the first of the new one. */
  outageMs?: number
  /** The longest time that a client had no right answer. */
  gapMs?: number
  s3Ms?: number
  /** By the S3 server, in all replies. */
  sentBytes?: number
  /** The same as `dr` says: of the archive's members. */
  fetchedBytes?: number
}

export interface Variant {
  id: string
  title: string
  run: () => Promise<Sample>
}

export interface Outcome {
  id: string
  title: string
  samples: Sample[]
}

export interface Rounds {
  rounds: number
  say: (line: string) => void
  signal: AbortSignal
}

/** Every variant once in each round, so that what disturbs the machine for a while disturbs all of them. */
export async function interleave(variants: readonly Variant[], {rounds, say, signal}: Rounds): Promise<Outcome[]> {
  const outcomes = variants.map(({id, title}): Outcome => ({id, title, samples: []}))
  for (let round = 1; round <= rounds; round++) {
    for (const [index, {id, title, run}] of variants.entries()) {
      signal.throwIfAborted()
      const sample = await run()
      outcomes[index]?.samples.push(sample)
      say(`  round ${round}: ${(sample.wallMs / 1000).toFixed(2).padStart(7)} s  (${id}) ${title}`)
    }
  }
  return outcomes
}
