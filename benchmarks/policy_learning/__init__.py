"""AR-Net's experiment in small: a policy learnt with Gumbel-Softmax and with REINFORCE.

python -m benchmarks.policy_learning run --config tiny -o reports/policy_learning
"""
