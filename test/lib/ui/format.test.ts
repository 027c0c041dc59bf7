import {expect} from 'chai'
import {age, bytes, count, duration, number, percent} from '../../../src/lib/ui/format.ts'
import {progressLines, progressText} from '../../../src/lib/ui/progress.ts'
import {shellCommand, shellQuote} from '../../../src/lib/ui/shell.ts'
import {oneLine, pad, textWidth, truncate} from '../../../src/lib/ui/text.ts'

describe('format', () => {
  it('bytes', () => {
    expect([0, 999, 1000, 1234, 99_949, 99_951, 999_499, 999_500, 1.5e9, 2e15, 5e18].map(bytes))
      .to.deep.equal(['0 B', '999 B', '1.0 kB', '1.2 kB', '99.9 kB', '100 kB', '999 kB', '1.0 MB', '1.5 GB', '2.0 PB', '5000 PB'])
  })

  it('duration', () => {
    const s = 1000
    expect([0, 400, 9940, 9960, 59_400, 59_600, 65 * s, 3599 * s, 3599.6 * s, 7380 * s, 86_400 * s, 100 * 3600 * s].map(duration))
      .to.deep.equal(['0.0 s', '0.4 s', '9.9 s', '10 s', '59 s', '1 min', '1 min 5 s', '59 min 59 s', '1 h', '2 h 3 min', '1 d', '4 d 4 h'])
  })

  it('age', () => {
    const now = new Date('2026-11-22T12:00:00Z')
    const before = (seconds: number) => age(new Date(now.getTime() - seconds * 1000), now)
    expect([0.2, 5, 65, 7200, -120].map(before)).to.deep.equal(['just now', '5 s ago', '1 min 5 s ago', '2 h ago', 'in 2 min'])
  })

  it('numbers', () => {
    expect(number(1_234_567)).to.equal('1,234,567')
    expect([count(1, 'table'), count(0, 'table'), count(2000, 'entry', 'entries')]).to.deep.equal(['1 table', '0 tables', '2,000 entries'])
    expect([percent(0, 10), percent(9.999, 10), percent(10, 10), percent(11, 10), percent(0, 0)]).to.deep.equal(['0 %', '99 %', '100 %', '100 %', '100 %'])
  })
})

describe('text', () => {
  it('knows the columns of a text', () => {
    expect(['abc', 'Тошкент', 'é', 'e\u0301', '日本', '\u001B[31mred\u001B[39m', '👍'].map(textWidth)).to.deep.equal([3, 7, 1, 1, 4, 3, 2])
  })

  it('cuts and pads by columns', () => {
    expect([truncate('abcdef', 6), truncate('abcdef', 5), truncate('日本語', 5), truncate('ab', 1), truncate('ab', 0)]).to.deep.equal(['abcdef', 'abcd…', '日本…', '…', ''])
    expect([pad('ab', 4), pad('ab', 4, 'right'), pad('日本', 5)]).to.deep.equal(['ab  ', '  ab', '日本 '])
  })

  it('lets no name command the terminal', () => {
    expect(oneLine('a\nb\t c\u001B[2J\u0007d\u009B1m')).to.match(/^a b c\??d.*$/).and.not.match(/[\u0000-\u001F\u007F-\u009F]/)
  })
})

describe('shell', () => {
  it('leaves plain words plain', () => {
    for (const word of ['pg_dump', '-Fd', '--jobs=4', '/a/b.c', 'a@b:5', '%x']) expect(shellQuote(word)).to.equal(word)
  })

  it('quotes the rest', () => {
    expect(['', 'a b', "it's", '$HOME', '~/x', '=ls', 'a;b', 'a\nb', '*'].map(shellQuote)).to.deep.equal(["''", "'a b'", String.raw`'it'\''s'`, "'$HOME'", "'~/x'", "'=ls'", "'a;b'", "'a\nb'", "'*'"])
    expect(shellCommand(['psql', '-c', 'select 1'])).to.equal("psql -c 'select 1'")
  })
})

describe('progress', () => {
  const progress = {unit: 'bytes', done: 350e6, total: 1e9, rate: 48e6, secondsLeft: 13.2, note: '7 of 31 tables', items: ['a', 'leads', 'messages_of_a_very_long_name_indeed_2026', 'd', 'e'].map((name) => ({name, done: 5e6, total: 10e6}))} as const

  it('has a bar, all figures, and four items at most', () => {
    const lines = progressLines(progress, 120)
    expect(lines).to.have.length(5)
    expect(lines[0]).to.match(/^[█#]{8}[░.]{16} {2}35 % {2}350 MB of 1\.0 GB {2}48\.0 MB\/s {2}14 s left {2}7 of 31 tables$/)
    expect(lines[2]).to.match(/^leads +50 % {2}5\.0 MB of 10\.0 MB$/)
    expect(lines[3]).to.match(/^messages_of_a_very_long_nam… /)
  })

  for (const width of [72, 60, 52, 30, 12, 5]) {
    it(`fits ${width} columns, and drops what matters least`, () => {
      const lines = progressLines(progress, width)
      for (const line of lines) expect(textWidth(line), line).to.be.at.most(width)
      if (width >= 12) expect(lines[0]).to.include('35 %')
      if (width >= 30) expect(lines[0]).to.include('14 s left')
      if (width >= 52) expect(lines[0]).to.match(/^[█#]+[░.]+ /)
    })
  }

  it('does without a total', () => {
    expect(progressLines({unit: 'rows', done: 12_345}, 60)).to.deep.equal(['12,345'])
    expect(progressText({unit: 'items', done: 3, total: 4, secondsLeft: Infinity})).to.equal('75 %, 3 of 4')
  })

  it('survives a total of nothing', () => {
    expect(progressLines({unit: 'bytes', done: 0, total: 0}, 60)[0]).to.include('100 %')
  })

  it('takes a sentence as it is, on lines that fit', () => {
    expect(progressLines('waiting for a lock', 10)).to.deep.equal(['waiting f…'])
    expect(progressText('a\nb')).to.equal('a b')
  })
})
