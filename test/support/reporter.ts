import Mocha from 'mocha'
import {relative} from 'node:path'

const SLOWEST = Number(process.env.DR_TEST_SLOWEST ?? 25)

/** Mocha's own report, the files whose tests took longest (hooks not counted), and at its end `N passed, N failed` alone on a line. A run with a skipped test, or with no test at all, fails. */
export default class Reporter extends Mocha.reporters.Spec {
  readonly #skipped: string[] = []
  readonly #seconds = new Map<string, number>()
  #wrong = 0

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    runner.on('pending', (test) => { this.#skipped.push(test.fullTitle()) })
    runner.on('test end', ({file, duration}) => { if (file !== undefined) this.#seconds.set(file, (this.#seconds.get(file) ?? 0) + (duration ?? 0) / 1000) })
    runner.once('end', () => { this.#close() })
  }

  /** Mocha calls this with the number of failures, which becomes the exit code. */
  override done(failures: number, end: (failures: number) => void): void {
    end(failures + this.#wrong)
  }

  #close(): void {
    const slowest = [...this.#seconds].toSorted(([, a], [, b]) => b - a).slice(0, SLOWEST)
    if (this.#seconds.size > 1) for (const [file, seconds] of slowest) console.log(`${seconds.toFixed(1).padStart(7)} s  ${relative(process.cwd(), file)}`)
    const {passes, failures} = this.stats
    for (const title of this.#skipped) console.log(`Skipped, which counts as failed: ${title}`)
    if (passes + failures + this.#skipped.length === 0) console.log('No test ran, which counts as failed.')
    this.#wrong = passes + failures === 0 && this.#skipped.length === 0 ? 1 : this.#skipped.length
    console.log(`${passes} passed, ${failures + this.#wrong} failed`)
  }
}
