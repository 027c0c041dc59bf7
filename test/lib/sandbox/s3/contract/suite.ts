import {authentication} from './authentication.ts'
import {conditions} from './conditions.ts'
import {integrity} from './integrity.ts'
import {listing} from './listing.ts'
import {realNetwork} from './real-network.ts'
import {multipart} from './multipart.ts'
import {objects} from './objects.ts'
import {settings} from './settings.ts'
import {versions} from './versions.ts'
import {makeWorld, type Check, type S3Connection} from './world.ts'

export type {S3Connection} from './world.ts'

export interface ContractOptions {
  /** Checks that this server does not pass, by name, each with the reason. That it does not is tested too, so no exception outlives its reason. */
  exceptions?: Readonly<Record<string, string>>
}

const groups: Readonly<Record<string, readonly Check[]>> = {objects, integrity, multipart, listing, conditions, authentication, settings, versions}

/** What dr and its tests expect of an S3 server. Defines the tests; `open` is called once, before the first. */
export function s3ServerContract(name: string, open: () => Promise<S3Connection>, {exceptions = {}}: ContractOptions = {}): void {
  const unknown = Object.keys(exceptions).filter((each) => !Object.values(groups).flat().some((check) => check.name === each))
  if (unknown.length > 0) throw new Error(`The contract has no check of this name: ${unknown.join(', ')}`)
  describe(`S3 contract: ${name}`, () => {
    let world: Awaited<ReturnType<typeof makeWorld>>
    let restore: () => void
    before(async () => {
      restore = realNetwork()
      world = await makeWorld(await open())
    })
    after(async () => {
      await world.close()
      restore()
    })
    for (const [group, checks] of Object.entries(groups)) describe(group, () => {
      for (const check of checks) defineCheck(check, exceptions[check.name], () => world)
    })
  })
}

function defineCheck(check: Check, exception: string | undefined, world: () => Awaited<ReturnType<typeof makeWorld>>): void {
  if (exception === undefined) it(check.name, () => check.run(world()))
  else it(`not: ${check.name} (${exception})`, () => expectFailure(check, world()))
}

async function expectFailure(check: Check, world: Awaited<ReturnType<typeof makeWorld>>): Promise<void> {
  const passed = await check.run(world).then(() => true, () => false)
  if (passed) throw new Error('This server passes the check now: take it from the exceptions.')
}
