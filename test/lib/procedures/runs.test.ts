import {expect} from 'chai'
import {spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {mkdir, readdir, readFile, utimes, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {createRun, sweepDeadRuns} from '../../../src/lib/procedures/runs.ts'
import {ownIdentity} from '../../../src/lib/system/process-identity.ts'
import {temporaryFolder} from '../../support/temporary.ts'

describe('runs', () => {
  const folder = temporaryFolder()
  const root = () => join(folder.path, 'run')
  const left = async (id: string, owner: object, folders: string[] = []) => {
    await mkdir(join(root(), id), {recursive: true})
    await writeFile(join(root(), id, 'owner.json'), JSON.stringify({...ownIdentity(), ...owner, folders}))
    return join(root(), id)
  }

  it('removes a run whose process is proven dead, with its folders', async () => {
    const staged = join(folder.path, 'staged')
    await mkdir(staged)
    await left('dead', {ticks: '1'}, [staged])
    const run = await createRun(folder.path)
    expect(await readdir(root())).to.deep.equal([run.id])
    expect(existsSync(staged)).to.equal(false)
    await run.remove()
    expect(await readdir(root())).to.deep.equal([])
  })

  it('leaves the run of another container alone, until it has been silent for an hour', async () => {
    const directory = await left('elsewhere', {ticks: '1', pidNamespace: 'pid:[1]'})
    await left('here', {})
    await sweepDeadRuns(folder.path)
    expect(await readdir(root())).to.deep.equal(['elsewhere', 'here'])
    const then = new Date(Date.now() - 2 * 3_600_000)
    for (const id of ['elsewhere', 'here']) await utimes(join(root(), id, 'owner.json'), then, then)
    await sweepDeadRuns(folder.path)
    expect(existsSync(directory)).to.equal(false)
    expect(await readdir(root()), 'alive, however silent').to.deep.equal(['here'])
  })

  /** As a folder is named while it comes or goes. */
  const passing = async (owner: Partial<ReturnType<typeof ownIdentity>>, record?: string) => {
    const {pid, ticks = '', boot = '', pidNamespace = ''} = {...ownIdentity(), ...owner}
    const directory = join(root(), ['.of', pid, ticks, boot.replaceAll('-', ''), /\d+/.exec(pidNamespace)?.[0] ?? '', 'abc123'].join('-'))
    await mkdir(directory, {recursive: true})
    if (record !== undefined) await writeFile(join(directory, 'owner.json'), record)
    return directory
  }

  for (const [what, record] of [['before its record', undefined], ['in the middle of its record', '{"pid":1,'], ['after its record', '{}']] as const) {
    it(`removes the folder of a process that was killed ${what}, and leaves that of one that lives`, async () => {
      const dead = await passing({ticks: '1'}, record)
      const alive = await passing({}, record)
      const elsewhere = await passing({ticks: '1', pidNamespace: 'pid:[1]'}, record)
      await sweepDeadRuns(folder.path)
      expect([existsSync(dead), existsSync(alive), existsSync(elsewhere)]).to.deep.equal([false, true, true])
      const then = new Date(Date.now() - 2 * 3_600_000)
      for (const path of [alive, elsewhere]) await utimes(path, then, then)
      await sweepDeadRuns(folder.path)
      expect([existsSync(alive), existsSync(elsewhere)], 'silent for long').to.deep.equal([true, false])
    })
  }

  it('leaves no folder without a record under a name of its own, whatever call it is killed at', async () => {
    const calls = fileURLToPath(new URL('../../support/killed-at-call.ts', import.meta.url))
    const module = fileURLToPath(new URL('../../../src/lib/procedures/runs.ts', import.meta.url))
    await mkdir(root(), {recursive: true})
    let at = 0
    for (; ; at++) {
      const {signal} = spawnSync(process.execPath, [calls, String(at), module, folder.path])
      await sweepDeadRuns(folder.path)
      expect(await readdir(root()), `killed at call ${at}`).to.deep.equal([])
      if (signal === null) break
    }
    expect(at, 'calls of a run that begins, owns a folder and ends').to.be.greaterThan(6)
  })

  it('takes over the folder that an earlier process of the same run has left', async () => {
    const directory = await left('again', {ticks: '1', pidNamespace: 'pid:[1]'})
    await writeFile(join(directory, 'kept'), '')
    const run = await createRun(folder.path, 'again')
    expect((await readdir(directory)).toSorted()).to.deep.equal(['kept', 'owner.json'])
    expect(JSON.parse(await readFile(join(directory, 'owner.json'), 'utf8'))).to.include({pid: process.pid})
    await run.remove()
    expect(await readdir(root())).to.deep.equal([])
  })

  it('goes on when what a dead run left cannot be removed, and keeps its record', async () => {
    // A path that fails for every user, root too.
    await left('a-stuck', {ticks: '1'}, ['no\0path'])
    await left('b-dead', {ticks: '1'})
    const run = await createRun(folder.path)
    expect(await readdir(root())).to.deep.equal([run.id, 'a-stuck'].toSorted())
    await run.remove()
  })
})
