import {expect} from 'chai'
import {existsSync} from 'node:fs'
import {mkdir, readdir, utimes, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
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

  it('goes on when what a dead run left cannot be removed, and keeps its record', async () => {
    // A path that fails for every user, root too.
    await left('a-stuck', {ticks: '1'}, ['no\0path'])
    await left('b-dead', {ticks: '1'})
    const run = await createRun(folder.path)
    expect(await readdir(root())).to.deep.equal([run.id, 'a-stuck'].toSorted())
    await run.remove()
  })
})
