import {expect} from 'chai'
import {parseTime} from '../../bench/measure.ts'
import {parsePeakRss, parseStat} from '../../bench/processes.ts'
import {shareOut, spread} from '../../bench/stats.ts'

describe('figures of the benchmark', () => {
  it('take the middle of an odd number of values, however they are ordered, and tell the extremes', () => {
    expect(spread([30, 9, 100])).to.deep.equal({median: 30, min: 9, max: 100})
    expect(spread([5])).to.deep.equal({median: 5, min: 5, max: 5})
  })

  it('take the mean of the middle two of an even number', () => {
    expect(spread([8, 1, 4, 100]).median).to.equal(6)
  })

  it('refuse to make a median of nothing', () => {
    expect(() => spread([])).to.throw('nothing')
  })

  it('share work out so that no lane waits long for another', () => {
    const lanes = shareOut([5, 9, 1, 4, 3], 2, (weight) => weight)
    expect(lanes.map((lane) => lane.reduce((a, b) => a + b, 0)).sort()).to.deep.equal([10, 12])
    expect(lanes.flat().sort()).to.deep.equal([1, 3, 4, 5, 9])
  })

  it('read what bash says of a command, in a locale with decimal commas too', () => {
    expect(parseTime('1.250 0.500 0.025\n')).to.deep.equal({wallMs: 1250, clientMs: 525})
    expect(parseTime('1,250 0,500 0,025\n').wallMs).to.equal(1250)
    expect(() => parseTime('')).to.throw('Not a time')
  })

  it('read /proc/PID/stat of a program with blanks and brackets in its name', () => {
    const rest = 'S 42 1 1 0 -1 0 0 0 0 0 150 50 7 3 20 0 1 0 999 0 0'
    expect(parseStat(`1234 (postgres: a) (b c) ${rest}\n`)).to.deep.equal({pid: 1234, parent: 42, ownMs: 2000, childrenMs: 100})
  })

  it('read the peak, not the present, of resident memory', () => {
    expect(parsePeakRss('VmPeak:\t  999999 kB\nVmHWM:\t  131072 kB\nVmRSS:\t  1024 kB\n')).to.equal(128 * 1024 ** 2)
    expect(() => parsePeakRss('VmRSS:\t 1 kB\n')).to.throw('no peak')
  })
})
