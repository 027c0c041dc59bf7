import {expect} from 'chai'
import {spawnSync} from 'node:child_process'
import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {bytesBelow} from '../../bench/folders.ts'
import {measure} from '../../bench/measure.ts'
import {serverMs} from '../../bench/processes.ts'
import {temporaryFolder} from '../support/temporary.ts'

/** Works until the kernel says that it has used so much processor time. */
const BUSY_MS = 200
const busy = [process.execPath, '-e', `while (process.cpuUsage().user + process.cpuUsage().system < ${BUSY_MS * 1000});`] as const
const env = {PATH: process.env.PATH ?? ''}

describe('measuring of the benchmark', () => {
  const folder = temporaryFolder()
  const place = () => ({folder: folder.path, postmaster: process.pid})

  it('counts the processor time of children of children, and keeps what was printed', async () => {
    const {clientMs, wallMs, stdout} = await measure({argv: ['sh', '-c', '"$@"; echo done', 'sh', ...busy], env}, place())
    expect(clientMs).to.be.at.least(BUSY_MS)
    expect(wallMs).to.be.at.least(BUSY_MS / 2)
    expect(stdout).to.equal('done\n')
  })

  it('fails with what a failing command said', async () => {
    const failure = await measure({argv: ['sh', '-c', 'echo no room >&2; exit 7'], env}, place()).then(() => undefined, (error: unknown) => error as Error)
    expect(failure?.message).to.contain('ended with 7').and.to.contain('no room')
  })

  it('counts what a server process that has ended meanwhile had used', () => {
    const before = serverMs(process.pid)
    spawnSync(busy[0], busy.slice(1))
    // The kernel rounds each of the two figures down to a hundredth of a second.
    expect(serverMs(process.pid) - before).to.be.at.least(BUSY_MS - 20)
  })

  it('adds up the files of a folder and of those in it; a folder that is not there holds nothing', async () => {
    await mkdir(join(folder.path, 'a/b'), {recursive: true})
    await writeFile(join(folder.path, 'one'), '12345')
    await writeFile(join(folder.path, 'a/b/two'), '123')
    expect(bytesBelow(folder.path)).to.equal(8)
    expect(bytesBelow(join(folder.path, 'none'))).to.equal(0)
  })
})
