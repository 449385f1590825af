"""The drawn world and the training script behind the toy CogVideoX; nothing else imports it."""
