import Mocha from 'mocha'

/** Mocha's own report, and at its end `N passed, N failed` alone on a line. A run with a skipped test, or with no test at all, fails. */
export default class Reporter extends Mocha.reporters.Spec {
  readonly #skipped: string[] = []
  #wrong = 0

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    runner.on('pending', (test) => { this.#skipped.push(test.fullTitle()) })
    runner.once('end', () => { this.#close() })
  }

  /** Mocha calls this with the number of failures, which becomes the exit code. */
  override done(failures: number, end: (failures: number) => void): void {
    end(failures + this.#wrong)
  }

  #close(): void {
    const {passes, failures} = this.stats
    for (const title of this.#skipped) console.log(`Skipped, which counts as failed: ${title}`)
    if (passes + failures + this.#skipped.length === 0) console.log('No test ran, which counts as failed.')
    this.#wrong = passes + failures === 0 && this.#skipped.length === 0 ? 1 : this.#skipped.length
    console.log(`${passes} passed, ${failures + this.#wrong} failed`)
  }
}
