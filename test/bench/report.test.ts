import {expect} from 'chai'
import {bars, stagingBound} from '../../bench/bars.ts'
import {report} from '../../bench/report.ts'
import type {Outcome, Sample} from '../../bench/variants.ts'

const sample = (wallMs: number, more: Partial<Sample> = {}): Sample => ({wallMs, clientMs: 10, serverMs: 20, ...more})
const outcome = (id: string, ...samples: Sample[]): Outcome => ({id, title: `variant ${id}`, samples})
const member = (bytes: number) => ({name: 'x', bytes, sha256: ''})

/** The best stock line takes 10 s, twice; `dr` what is given. */
const backups = (...local: number[]): Outcome[] => [
  outcome('b', sample(30_000)), outcome('d', sample(10_000), sample(10_000)),
  outcome('f', ...local.map((wallMs) => sample(wallMs, {peakRssBytes: 100e6}))), outcome('g', sample(12_000, {peakRssBytes: 150e6, stagingBytes: 60e6})),
]
const restores = [outcome('r', sample(10_000)), outcome('s', sample(13_000, {apartMs: 10_500, peakRssBytes: 90e6})), outcome('t', sample(20_000)), outcome('u', sample(16_000, {apartMs: 17_500, peakRssBytes: 90e6}))]
const memory = (outcomes: Outcome[]) => bars({jobs: 2, backups: outcomes}).find(({what}) => what.startsWith('memory'))?.passed

describe('report of the benchmark', () => {
  it('compares medians, so that one disturbed run decides nothing', () => {
    const [local] = bars({jobs: 2, backups: backups(11_000, 11_200, 90_000)})
    expect(local).to.deep.include({measured: 1.12, limit: 1.15, passed: true})
    expect(bars({jobs: 2, backups: backups(11_600, 11_600, 11_000)})[0]?.passed).to.equal(false)
  })

  it('judges memory by the worst run', () => {
    const heavy = backups(10_000)
    heavy[2]?.samples.push(sample(10_000, {peakRssBytes: 201e6}))
    expect(memory(backups(10_000))).to.equal(true)
    expect(memory(heavy)).to.equal(false)
  })

  it('allows staging the largest members in flight and a tenth of the archive', () => {
    expect(stagingBound([member(10), member(500), member(300), member(190)], 2)).to.equal(900)
    const judged = (bytes: number) => bars({jobs: 2, backups: backups(10_000), members: [member(bytes), member(bytes)]}).find(({what}) => what.startsWith('staging'))?.passed
    expect([judged(28e6), judged(27e6)]).to.deep.equal([true, false])
  })

  it('judges a restore without what stock tools do not do', () => {
    const judged = bars({jobs: 2, restores})
    expect(judged.map(({measured, passed}) => [measured, passed])).to.deep.equal([[1.05, true], [0.875, false], [90, true]])
  })

  it('judges the start by what it adds to bare node', () => {
    const at = (median: number) => ({median, min: 0, max: 999})
    expect(bars({jobs: 2, startup: {bareMs: at(30), versionMs: at(150)}})[0]).to.deep.include({measured: 120, passed: true})
    expect(bars({jobs: 2, startup: {bareMs: at(30), versionMs: at(151)}})[0]?.passed).to.equal(false)
  })

  it('fails when a figure that a bar needs was not taken', () => {
    expect(() => bars({jobs: 2, backups: backups(10_000).filter(({id}) => id !== 'd')})).to.throw('(d)')
    expect(() => bars({jobs: 2, backups: [...backups(10_000).slice(0, 2), outcome('f', sample(1)), outcome('g', sample(1))]})).to.throw('lacks')
  })

  it('shows figures, verdicts and how to repeat them', () => {
    const text = report({backups: backups(10_000, 10_100, 12_300), jobs: 2, date: '2026-11-22', facts: [['memory', '8 GiB']], rows: 5000, rounds: 3, parts: ['backup'], linkBytesPerSecond: 40e6})
    expect(text).to.contain('| memory | 8 GiB |')
    expect(text).to.contain('| (f) variant f | 10.10 (10.00–12.30) | 0.01 | 0.02 |')
    expect(text).to.contain('| dr backup --local ÷ best stock line (d) | 1.01 × | 1.15 × | pass |')
    expect(text).to.match(/npm ci && npm run bench -- --rows 5000 --rounds 3 --jobs 2 --link 40 --only backup\n/)
    expect(text).not.to.contain('## Restores').and.not.to.contain('integrity s')
  })
})
