export interface StepTiming {
  id: string
  ms: number
  /** Taken by an earlier run that this one went on with. */
  earlier?: true
}

export interface PhaseTiming {
  title: string
  /** From the first step to the last; the question before them is not in it. */
  ms: number
  steps: StepTiming[]
}

/** How long this process worked on a run. */
export interface Timings {
  totalMs: number
  /** Of the total, spent waiting for answers. */
  gatesMs: number
  phases: PhaseTiming[]
}
