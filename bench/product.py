"""The tables of an invented product: which it has, their share of the bytes, their columns and indexes, and what is masked.

In number and proportion they are those of a product that takes appointments: 42 tables, most of them small, a dozen of which
nobody publishes; narrow texts; 200 indexes, most of them on keys and times that stay clear. Personal are many columns of few
tables.
"""

# A table a block: its name and its thousandths of all bytes (`-` before them if its rows are not published), then its
# columns as name:kind:marks. Without a kind, `…_id` is a reference and `…_at` a time; a table's name makes a foreign key.
# Marks: `p` personal, `i` indexed, `u` unique, `n` NULL in seven rows of eight. `+a,b` is an index on two columns.
PRODUCT = """
messages 230
    appointment_id:appointments:i user_id:users:i organisation_id:organisations:i event:state:i channel:state:i
    result:state:i parts:number provider:state phone:phone:p email:email:pn content:note:p error_message:line:pn
    created_at::i updated_at

participations 190
    appointment_id:appointments:i user_id:users:i status:state:i created_by_id::i created_by_type:state
    by_prescriber:flag notified:flag reminded:flag invitation_token:token:pun invitation_created_at::in
    invitation_sent_at::n invitation_accepted_at::n invited_by_id::n invited_by_type:state:n invitations_count:number
    invitation_limit:number:n created_at::i updated_at +appointment_id,user_id +created_by_type,created_by_id
    +invited_by_type,invited_by_id

appointments 170
    organisation_id:organisations:i reason_id:reasons:i place_id:places:i created_by_id::i created_by_type:state
    status:state:i starts_at::i ends_at::i cancelled_at::n capacity:number users_count:number uuid:token:u
    context:line:pn name:name:pn old_location:place:n title:label:n created_at::i updated_at::i
    +organisation_id,starts_at +created_by_type,created_by_id +status,starts_at

users 160
    first_name:name:p last_name:name:pi birth_name:name:pn birth_date:day:pi email:email:pun unconfirmed_email:email:pn
    address:place:p address_details:line:pn insurance:state:pn insurance_number:code:pn family:state:pn
    children:number:pn phone:phone:p phone_formatted:phone:pi city_code:code:p post_code:code:p city_name:name:p
    case_number:code:pn housing:state:pn notes:note:pn application_number:code:pn openid:token:pn password:token:p
    confirmation_token:token:pun reset_token:token:pun invitation_token:token:pun remembered_at::pn short_token:token:pn
    confirmed_at::n confirmation_sent_at::n created_at::i updated_at created_through:state:i invitation_accepted_at::n
    invitation_created_at::n search_terms:search:i deleted_at::in invitation_limit:number:n reset_sent_at::n
    invitation_sent_at::n invitations_count:number invited_by_id::in invited_by_type:state:n invited_through:state
    by_email:flag by_sms:flag logged_once:flag token_updated_at::n responsible_id:users:in
    +invited_by_type,invited_by_id

agents_appointments 80
    agent_id:agents:i appointment_id:appointments:i outlook_id:token:n outlook_under_way:flag +agent_id,appointment_id
    +outlook_under_way,agent_id

waiting_lists 30
    appointment_id:appointments:i user_id:users:i created_at updated_at::i notified:number last_slot_at::in
    +updated_at,appointment_id

api_calls 25 received_at::i controller:label action:label agent_id:agents:i raw_http:note:p

openings 20
    agent_id:agents:i organisation_id:organisations:i place_id:places:i title:label:p first_day:day start_time:number
    end_time:number recurrence:rule:n expired:flag:i recurrence_ends_at::in created_at updated_at
    +expired,recurrence_ends_at

absences 20
    agent_id:agents:i title:label:p first_day:day start_time:number end_day:day:i end_time:number recurrence:rule:n
    expired:flag:i recurrence_ends_at::in created_at updated_at +expired,recurrence_ends_at

exports 6
    agent_id:agents:i export_type:state computed_at expires_at file_name:label organisation_ids:label options:rule
    created_at::i updated_at

prescribers 6
    first_name:name:p last_name:name:p email:email:p phone:phone:p phone_formatted:phone:p
    participation_id:participations:i created_at updated_at

agents 6
    first_name:name:p last_name:name:p email:email:pu original_email:email:pn password:token:p
    unconfirmed_email:email:pn uid:token:pu external_id:token:p calendar_uid:token:p reset_token:token:pun
    confirmation_token:token:pun invitation_token:token:pun tokens:rule:pn graph_token:token:pn refresh_token:token:pn
    remembered_at::pn openid:token:pn service_id:organisation_services:i reset_sent_at::n last_sign_in_at::n
    confirmed_at::n confirmation_sent_at::n invitation_created_at::n invitation_sent_at::n invitation_accepted_at::n
    invitation_limit:number:n invited_by_type:state:n invited_by_id::in invitations_count:number provider:state
    allow_password:flag notifications:state:i past_count:number show_saturdays:flag show_cancelled:flag
    openings_level:state absences_level:state outlook:flag warned_at::n deleted_at::n created_at updated_at
    connected:flag +invited_by_type,invited_by_id

reasons 5
    name:label:i color:code organisation_id:organisations:i service_id:organisation_services:i
    category_id:reason_categories:i duration:number least_delay:number most_delay:number deleted_at::n
    bookable_by:state:i restriction:line:n instruction:line:n secretariat:flag old_location_type:state follow_up:flag
    visibility:state:i sectorisation:state warning:line:n collective:flag:i location_type:state:i editable:flag
    cancellable:flag created_at updated_at +organisation_id,name

agent_roles 3 agent_id:agents:i organisation_id:organisations:i access_level:state +organisation_id,agent_id

agent_services 3 agent_id:agents:i service_id:organisation_services:i created_at +agent_id,service_id

organisations 2
    name:label:i email:email:pn phone:phone:pn territory_id:territories:i departement:code hours:line:n human_id:code:i
    website:line:n external_id:code vertical:state:i created_at updated_at +human_id,territory_id +name,territory_id

places 2
    organisation_id:organisations:i name:label:i address:place old_address:place:n latitude:decimal longitude:decimal
    phone:phone:pn phone_formatted:phone:pn availability:state:i old_enabled:flag created_at updated_at
    +organisation_id,name

zones 2
    sector_id:sectors:i level:state city_name:name city_code:code:i street_name:place:n street_ban_id:code:n created_at
    updated_at +city_code,street_ban_id

sectors 1 territory_id:territories:i departement:code:i name:label human_id:code:i created_at updated_at

sector_attributions 1 sector_id:sectors:i organisation_id:organisations:i agent_id:agents:in level:state

territories 1
    departement_number:code:i name:label:i phone:phone phone_formatted:phone sms_configuration:rule:pn
    sms_provider:state own_provider:flag notes_field:flag insurance_field:flag number_field:flag family_field:flag
    children_field:flag housing_field:flag case_field:flag details_field:flag context_field:flag mail_field:flag
    color_field:flag visible_users:flag created_at updated_at

territory_services 1 territory_id:territories:i service_id:organisation_services:i created_at +territory_id,service_id

organisation_services 1 name:label:i short_name:code:i created_at updated_at

reason_categories 1 name:label:u short_name:token:u created_at updated_at

teams 1 territory_id:territories:i name:label created_at updated_at +name,territory_id

agent_teams 1 team_id:teams:i agent_id:agents:i created_at updated_at

access_rights 1
    agent_id:agents:i territory_id:territories:i manage_teams:flag manage_rights:flag invite_agents:flag metrics:flag
    created_at updated_at

webhooks 1 organisation_id:organisations:i target_url:line secret:token:p subscriptions:label created_at updated_at

super_admins 1 email:email:p first_name:name:p last_name:name:p role:state created_at updated_at

metadata 1 value:code created_at updated_at

versions -20 item_id::i item_type:state event:state author:name changes:rule created_at::i +item_type,item_id

jobs -1
    queue:code priority:number parameters:rule scheduled_at::i performed_at::n finished_at::n created_at::i updated_at
    error:line:n active_id::n concurrency_key:code:in cron_key:code:n batch_id::in callback_id::n executions:number
    job_class:label labels:code:n locked_by_id::n locked_at::n +queue,scheduled_at +priority,created_at
    +cron_key,created_at

job_executions -1
    job_id::i job_class:label queue:code parameters:rule scheduled_at finished_at error:line:n process_id
    duration:number created_at updated_at +job_id,created_at +process_id,created_at

job_settings -1 key:token:u value:rule created_at updated_at

job_batches -1 description:line parameters:rule enqueued_at discarded_at finished_at created_at updated_at

job_processes -1 state:rule lock_type:number created_at updated_at

agent_territories -1 agent_id:agents:i territory_id:territories:i +agent_id,territory_id

reason_openings -1 reason_id:reasons:i opening_id:openings:i +reason_id,opening_id

referents -1 user_id:users:i agent_id:agents:i +user_id,agent_id

user_profiles -1 organisation_id:organisations:i user_id:users:i +organisation_id,user_id

category_territories -1 category_id:reason_categories:i territory_id:territories:i +category_id,territory_id

migrations -1 version:token:u
"""
