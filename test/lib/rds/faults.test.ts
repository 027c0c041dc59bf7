import {expect} from 'chai'
import {readFileSync} from 'node:fs'
import {DrError} from '../../../src/lib/errors.ts'
import {FAULTS, isThrottled, rdsError} from '../../../src/lib/rds/faults.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const commands = [...new Set([...read('src/lib/rds/api.ts').matchAll(/new (\w+)Command\(/g)].map(([, name = '']) => name))]
const modelled = (command: string) => [...read(`node_modules/@aws-sdk/client-rds/dist-types/commands/${command}Command.d.ts`).matchAll(/@throws \{@link (\w+)/g)].map(([, name = '']) => name)

const named = (name: string, message = 'said by AWS', more: object = {}) => Object.assign(new Error(message), {name, ...more})

function told(error: Error, action = 'RestoreDBInstanceToPointInTime', sent: object = {}): DrError {
  const translated = rdsError(error, {action, instance: 'crm', sent}, {region: 'us-east-1'})
  if (translated instanceof DrError) return translated
  throw translated
}

describe('a refusal of RDS', () => {
  /** Of tags and of networks of other services: these actions are never asked about such things. */
  const ELSEWHERE = /^RDSServiceException$|^(BlueGreen|DBCluster|DBProxyEndpoint|DBShardGroup|DBSnapshotTenant|Integration|InvalidDBClusterEndpoint|TenantDatabaseNotFound)/

  it('is known for every fault that the SDK models of the actions that are used', () => {
    const all = [...new Set(commands.flatMap(modelled))].filter((name) => !ELSEWHERE.test(name))
    expect(commands.length).to.be.above(10)
    expect(all.length).to.be.above(30)
    expect(all.filter((name) => !(name in FAULTS))).to.deep.equal([])
  })

  it('says what to do, and keeps what AWS said', () => {
    for (const name of Object.keys(FAULTS)) {
      const error = told(named(name))
      expect(error.code, name).to.match(/^rds\./)
      expect([3, 5], name).to.include(error.exitCode)
      expect(error.hints.join(''), name).not.to.equal('')
      expect(`${error.message} ${(error.cause as Error).message}`, name).to.contain('said by AWS')
    }
  })

  it('names the field that was sent', () => {
    expect(told(named('DBParameterGroupNotFoundFault'), undefined, {DBParameterGroupName: 'crm17'}).message).to.contain('DBParameterGroupName "crm17"')
    expect(told(named('DBInstanceAlreadyExistsFault'), undefined, {TargetDBInstanceIdentifier: 'crm-copy'}).message).to.contain('crm-copy')
  })

  it('names the permission that is missing and who was denied it', () => {
    const error = told(named('AccessDenied', 'User: arn:aws:iam::123456789012:user/op is not authorized to perform: rds:ModifyDBInstance on resource: arn:aws:rds:us-east-1:123456789012:db:crm because no identity-based policy allows it'))
    expect(error).to.include({code: 'rds.denied', exitCode: 5})
    expect(error.message).to.equal('AWS denies rds:ModifyDBInstance on arn:aws:rds:us-east-1:123456789012:db:crm to arn:aws:iam::123456789012:user/op.')
    expect(told(named('AccessDeniedException', 'no'), 'DescribeEvents').message).to.equal('AWS denies rds:DescribeEvents.')
  })

  it('tells credentials, a missing region, a slow-down and a dead network apart', () => {
    const codes = [named('ExpiredToken'), named('CredentialsProviderError', 'Could not load credentials'), named('Error', 'Region is missing'), named('Throttling'), named('Error', 'connect', {code: 'ECONNREFUSED'}), named('TimeoutError'), named('InternalFailure', 'oops', {$metadata: {httpStatusCode: 503}}), named('NewFault')].map((error) => told(error).code)
    expect(codes).to.deep.equal(['rds.credentials', 'rds.credentials', 'rds.region', 'rds.throttled', 'rds.unreachable', 'rds.unreachable', 'rds.unreachable', 'rds.refused'])
  })

  it('lets an interruption and a translated error through, and knows a slow-down in either form', () => {
    const [abort, done] = [named('AbortError'), new DrError('rds.denied', 'no')]
    expect(rdsError(abort, {action: 'X'}, {})).to.equal(abort)
    expect(rdsError(done, {action: 'X'}, {})).to.equal(done)
    expect([named('RequestLimitExceeded'), told(named('ThrottlingException')), named('AccessDenied')].map(isThrottled)).to.deep.equal([true, true, false])
  })
})
