import {expect} from 'chai'
import {mkdir, utimes, writeFile} from 'node:fs/promises'
import {dirname, join} from 'node:path'
import {drScript} from '../../bench/dr-script.ts'
import {benchOptions} from '../../bench/options.ts'
import {temporaryFolder} from '../support/temporary.ts'

describe('options of the benchmark', () => {
  it('measure everything and replace the last report', () => {
    const {parts, output, rounds, linkBytesPerSecond} = benchOptions([])
    expect({parts, rounds, linkBytesPerSecond}).to.deep.equal({parts: ['backup', 'restore', 'swap', 'startup'], rounds: 3, linkBytesPerSecond: 10e6})
    expect(output).to.match(/bench\/results\/latest\.md$/)
  })

  it('leave the last report alone when a part only is measured', () => {
    expect(benchOptions(['--only', 'startup'])).to.deep.include({parts: ['startup'], output: undefined})
    expect(benchOptions(['--only', 'startup', '--output', 'x.md']).output).to.equal('x.md')
  })

  it('refuse what is no number, no part, no option', () => {
    expect(() => benchOptions(['--rows', '1e'])).to.throw('--rows')
    expect(() => benchOptions(['--rounds', '0'])).to.throw('--rounds')
    expect(() => benchOptions(['--only', 'everything'])).to.throw('--only')
    expect(() => benchOptions(['--fast'])).to.throw('--fast')
  })

  it('never dump on one connection, which dr does not either', () => {
    expect(benchOptions(['--jobs', '1']).jobs).to.equal(2)
  })
})

describe('the script that runs dr', () => {
  const folder = temporaryFolder()
  const put = async (name: string, seconds: number) => {
    const path = join(folder.path, name)
    await mkdir(dirname(path), {recursive: true})
    await writeFile(path, '')
    await utimes(path, seconds, seconds)
  }

  it('is that of the sources when there is no build, or one that a source is newer than', async () => {
    await put('src/lib/a.ts', 2000)
    expect(drScript(folder.path)).to.equal(join(folder.path, 'bin/dev.js'))
    await put('dist/lib/cli/main.js', 1000)
    expect(drScript(folder.path)).to.equal(join(folder.path, 'bin/dev.js'))
  })

  it('is that of the build when it is newer than every source', async () => {
    await put('src/lib/a.ts', 2000)
    await put('dist/lib/cli/main.js', 3000)
    expect(drScript(folder.path)).to.equal(join(folder.path, 'bin/run.js'))
  })
})
