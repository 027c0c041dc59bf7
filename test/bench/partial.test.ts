import {expect} from 'chai'
import {partialBenchOptions} from '../../bench/partial-options.ts'
import {partialBars, partialReport} from '../../bench/partial-report.ts'
import type {Outcome} from '../../bench/variants.ts'

/** Of the first accident as given, of the second well within the bars. Wall times in seconds, bytes in MB. */
function outcomes(small: number[], large: number[], sent: number[] = large.map(() => 1)): Outcome[] {
  const outcome = (id: string, wall: number[], mb: number[]): Outcome => ({id, title: `variant ${id}`, samples: wall.map((s, index) => ({wallMs: s * 1000, clientMs: 1, serverMs: 1, sentBytes: (mb[index] ?? 1) * 1e6, fetchedBytes: 1e6}))})
  return [outcome('a1', small, []), outcome('a2', large, sent), outcome('b1', [4], []), outcome('b2', [4], [])]
}
const places = [{archiveBytes: 10e6}, {archiveBytes: 1000e6}] as const
const judged = (...given: Parameters<typeof outcomes>) => partialBars({places, outcomes: outcomes(...given)}).slice(0, 2).map(({passed}) => passed)

describe('the benchmark of partial restores', () => {
  it('holds what was sent in the worst run to two hundredths of the large archive', () => {
    expect(judged([4, 4, 4], [4, 4, 4], [1, 20, 1])).to.deep.equal([true, true])
    expect(judged([4, 4, 4], [4, 4, 4], [1, 20.1, 1])).to.deep.equal([false, true])
  })

  it('compares medians of the time', () => {
    expect(judged([4, 4, 4], [6, 6, 60])).to.deep.equal([true, true])
    expect(judged([4, 4, 4], [6.1, 6.1, 1])).to.deep.equal([true, false])
  })

  it('shows figures, verdicts and how to repeat them', () => {
    const text = partialReport({
      places, outcomes: outcomes([4, 4, 4], [5, 5, 5]), options: partialBenchOptions(['--rows', '5000', '--archive', '50']), date: '2026-11-27', facts: [['memory', '8 GiB']],
      tenant: {tenants: 20, rows: 1_013_018, back: 191_976, tables: 41, wallMs: 60_000, timings: [{phase: 'stage', ms: 20_000}], sentBytes: 90e6, fetchedBytes: 84e6, members: 40, peakRssBytes: 150e6, sampleBytes: 85e6},
    })
    expect(text).to.contain('| memory | 8 GiB |').and.to.contain('| (a2) variant a2 | 5.00 (5.00–5.00) |')
    expect(text).to.contain('| --table tariffs: sent by S3, of the large archive, worst run | 0.10 % | 2.00 % | pass |')
    expect(text).to.contain('| --table tariffs: time with the large archive ÷ with the small one | 1.25 × | 1.50 × | pass |')
    expect(text).to.contain('191,976').and.to.contain('| sent by S3 | 90.0 MB |')
    expect(text).to.match(/npm ci && npm run bench:partial -- --rows 5000 --tenants 20 --archive 50 --rounds 5 --jobs \d+ --link 16\n/)
  })

  it('takes an archive of a gigabyte and five rounds unless told otherwise', () => {
    expect(partialBenchOptions([])).to.include({archiveBytes: 1e9, rounds: 5, tenants: 20, rows: 1_000_000})
    expect(() => partialBenchOptions(['--archive', '0'])).to.throw('bench:partial')
  })
})
