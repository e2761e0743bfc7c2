"""The `aws` resource provider of the rehearsal: pulumi-aws's types, acting on an emulated AWS through boto3."""
