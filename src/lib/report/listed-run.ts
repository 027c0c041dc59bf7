import type {RunStatus} from '../runbook/runs.ts'

/** A run as `dr resume` shows it. */
export interface ListedRun {
  run: string
  journal: string
  procedure: string
  title: string
  environment: string | null
  /** `HOST:PORT/DATABASE`. */
  target: string | null
  status: RunStatus
  begunAt: string
  /** When it last wrote into its journal. */
  lastAt: string
  /** The process that worked on it. */
  process: {pid: number; host: string} | null
  /** `in`: it stopped there; `after`: at its end; `undoing`: when it was undone. */
  stopped: {where: 'in' | 'after' | 'undoing'; step: string; title: string} | null
  /** What it left, as far as its journal knows. A later run may have removed it. */
  left: string[]
  /** What going on with it would mean; null when that is not possible, and `whyNot` says why. */
  continues: string | null
  whyNot: string | null
  /** There may be something to undo. */
  undoes: boolean
}
