import {ListObjectsV2Command, PutObjectCommand} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {expectRefusal, type Check} from './world.ts'

const hour = 3_600_000

export const authentication: readonly Check[] = [
  {
    name: 'a wrong secret is refused',
    async run({clientWith, connection, bucket: Bucket}) {
      const client = clientWith({credentials: {accessKeyId: connection.accessKeyId, secretAccessKey: 'wrongsecretwrongsecretwrongsecret000000'}})
      await expectRefusal(client.send(new ListObjectsV2Command({Bucket})), 'SignatureDoesNotMatch', 403)
      await expectRefusal(client.send(new PutObjectCommand({Bucket, Key: 'authentication/x', Body: 'x'})), 'SignatureDoesNotMatch', 403)
    },
  },
  {
    name: 'an unknown access key is refused',
    async run({clientWith, bucket: Bucket}) {
      const client = clientWith({credentials: {accessKeyId: 'AKIAUNKNOWNUNKNOWN00', secretAccessKey: 'x'}})
      await expectRefusal(client.send(new ListObjectsV2Command({Bucket})), 'InvalidAccessKeyId', 403)
    },
  },
  {
    name: 'an unsigned request is refused',
    async run({connection, bucket}) {
      const reply = await fetch(`${connection.endpoint}/${bucket}/anything`)
      expect(reply.status).to.equal(403)
      expect(await reply.text()).to.include('<Code>AccessDenied</Code>')
    },
  },
  {
    name: 'a clock that is an hour off is refused',
    async run({clientWith, bucket: Bucket}) {
      await expectRefusal(clientWith({systemClockOffset: hour}).send(new ListObjectsV2Command({Bucket})), 'RequestTimeTooSkewed', 403)
      await expectRefusal(clientWith({systemClockOffset: -hour}).send(new ListObjectsV2Command({Bucket})), 'RequestTimeTooSkewed', 403)
    },
  },
]
