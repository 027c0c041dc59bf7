import {expect} from 'chai'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {openStorages} from '../../../src/lib/cli/storages.ts'
import {loadConfig} from '../../../src/lib/config/load.ts'
import {S3Storage} from '../../../src/lib/repository/storage/s3.ts'
import {removeFolder, temporaryFolder} from '../../support/backup.ts'
import {s3ForTests, type S3ForTests} from '../../support/s3.ts'

/** As the SDK reads it: these are of the process. */
const OURS = ['AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE', 'AWS_PROFILE', 'AWS_ENDPOINT_URL_S3', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as const

describe('the S3 storage of the configuration', () => {
  let s3: S3ForTests
  let home = ''
  let before: Partial<Record<string, string>> = {}
  beforeEach(async () => {
    home = await temporaryFolder('storages')
    s3 = await s3ForTests({region: 'eu-north-1'})
    before = Object.fromEntries(OURS.map((name) => [name, process.env[name]]))
    for (const name of OURS) Reflect.deleteProperty(process.env, name)
  })
  afterEach(async () => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = value
    }
    await s3.close()
    await removeFolder(home)
  })

  const open = async (env: NodeJS.ProcessEnv) => {
    const {config} = await loadConfig({env, cwd: home, configDir: home, dataDir: home})
    const [storage] = await openStorages(config, ['s3'])
    if (!(storage instanceof S3Storage)) throw new Error('no S3 storage')
    return storage
  }

  it('takes region, endpoint and keys from an AWS profile', async () => {
    await writeFile(join(home, 'config'), `[profile ops]\nregion = eu-north-1\nservices = sandbox\n[services sandbox]\ns3 =\n  endpoint_url = ${s3.endpoint}\n`)
    await writeFile(join(home, 'credentials'), `[ops]\naws_access_key_id = ${s3.credentials.accessKeyId}\naws_secret_access_key = ${s3.credentials.secretAccessKey}\n`)
    process.env.AWS_CONFIG_FILE = join(home, 'config')
    process.env.AWS_SHARED_CREDENTIALS_FILE = join(home, 'credentials')
    const storage = await open({AWS_S3_BUCKET: s3.bucket, AWS_PROFILE: 'ops'})
    await storage.put('a', 'b')
    expect((await storage.stat('a'))?.bytes).to.equal(1)
    expect(s3.server.requests.length).to.be.greaterThan(0)
    await storage.close()
  })

  it('takes the endpoint of AWS_ENDPOINT_URL_S3, and names the region that does not fit', async () => {
    process.env.AWS_ACCESS_KEY_ID = s3.credentials.accessKeyId
    process.env.AWS_SECRET_ACCESS_KEY = s3.credentials.secretAccessKey
    const right = await open({AWS_S3_BUCKET: s3.bucket, AWS_ENDPOINT_URL_S3: s3.endpoint, AWS_REGION: 'eu-north-1'})
    await right.check()
    await right.close()
    const wrong = await open({AWS_S3_BUCKET: s3.bucket, AWS_ENDPOINT_URL_S3: s3.endpoint, AWS_REGION: 'ap-south-1'})
    const error: unknown = await wrong.check().catch((thrown: unknown) => thrown)
    expect(error).to.include({code: 'storage.wrong-region', exitCode: 5})
    await wrong.close()
  })

  it('asks for a bucket in words', async () => {
    const error: unknown = await open({}).catch((thrown: unknown) => thrown)
    expect(error).to.include({code: 'config.s3-bucket', exitCode: 3})
  })
})
