import Mocha from 'mocha'
import {relative} from 'node:path'

const SLOWEST = Number(process.env.DR_TEST_SLOWEST ?? 25)

/** Mocha's own report, the files that took longest, and at its end `N passed, N failed` alone on a line. A run with a skipped test, or with no test at all, fails. */
export default class Reporter extends Mocha.reporters.Spec {
  readonly #skipped: string[] = []
  readonly #seconds = new Map<string, number>()
  #file = ''
  #since = 0
  #wrong = 0

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    runner.on('pending', (test) => { this.#skipped.push(test.fullTitle()) })
    runner.on('suite', ({file, parent}) => { if (parent?.root) this.#enter(file ?? '') })
    runner.once('end', () => { this.#close() })
  }

  /** Mocha calls this with the number of failures, which becomes the exit code. */
  override done(failures: number, end: (failures: number) => void): void {
    end(failures + this.#wrong)
  }

  /** A file's time is all from its first suite to that of the next file: hooks and loading as well. */
  #enter(file: string): void {
    const now = performance.now()
    if (this.#file) this.#seconds.set(this.#file, (this.#seconds.get(this.#file) ?? 0) + (now - this.#since) / 1000)
    this.#file = file
    this.#since = now
  }

  #close(): void {
    this.#enter('')
    const slowest = [...this.#seconds].toSorted(([, a], [, b]) => b - a).slice(0, SLOWEST)
    if (this.#seconds.size > 1) for (const [file, seconds] of slowest) console.log(`${seconds.toFixed(1).padStart(7)} s  ${relative(process.cwd(), file)}`)
    const {passes, failures} = this.stats
    for (const title of this.#skipped) console.log(`Skipped, which counts as failed: ${title}`)
    if (passes + failures + this.#skipped.length === 0) console.log('No test ran, which counts as failed.')
    this.#wrong = passes + failures === 0 && this.#skipped.length === 0 ? 1 : this.#skipped.length
    console.log(`${passes} passed, ${failures + this.#wrong} failed`)
  }
}
