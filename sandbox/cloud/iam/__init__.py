"""IAM as AWS decides it: a request's actions, resources and condition keys, and the policies that judge them."""
