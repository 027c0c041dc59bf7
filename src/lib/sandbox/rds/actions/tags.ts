import type {Instance} from '../instance.ts'
import {instanceNotFound} from '../rds-error.ts'
import type {Region} from '../region.ts'
import {tagsOf} from '../settings.ts'
import type {Action} from './action.ts'

export const addTagsToResource: Action = ({region, form}) => {
  const instance = instanceOf(region, form.required('ResourceName'))
  const given = tagsOf(form) ?? []
  form.assertAllRead()
  const kept = instance.settings.TagList.filter(({Key}) => !given.some((one) => one.Key === Key))
  instance.settings = {...instance.settings, TagList: [...kept, ...given]}
  return undefined
}

export const listTagsForResource: Action = ({region, form}) => ({TagList: instanceOf(region, form.required('ResourceName')).settings.TagList})

export const removeTagsFromResource: Action = ({region, form}) => {
  const instance = instanceOf(region, form.required('ResourceName'))
  const keys = form.texts('TagKeys', 'member') ?? []
  form.assertAllRead()
  instance.settings = {...instance.settings, TagList: instance.settings.TagList.filter(({Key}) => !keys.includes(Key))}
  return undefined
}

function instanceOf(region: Region, arn: string): Instance {
  const found = [...region.instances.values()].find(({id}) => region.arnOf(id) === arn)
  if (!found) throw instanceNotFound(arn)
  return found
}
