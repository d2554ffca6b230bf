using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests;

public sealed class JobSpecReaderTests
{
    private const string Least = """ "base_model": "bert", "task": "text-classification", "dataset": {"train": "ds_1"} """;

    [Fact]
    public void The_least_specification_takes_every_default()
    {
        var spec = Read($"{{{Least}}}");

        Assert.Equal(new TextClassificationConfig(), spec.Task);
        Assert.Equal(new TrainingArguments(), spec.Training);
        Assert.Null(spec.Method);
    }

    [Fact]
    public void Everything_that_is_written_can_be_read()
    {
        var spec = Read($$$"""
            {{{{Least}}}, "name": "é", "method": {"type": "full"}, "metadata": {"team": "a/b"},
             "training": {"learning_rate": 2e-4, "num_train_epochs": "auto", "max_length": 64, "eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 0.1, "save_steps": 0.3}}
            """);

        Assert.Equal(JsonSerializer.Serialize(spec, Catalog.Json), JsonSerializer.Serialize(Read(JsonSerializer.Serialize(spec, Catalog.Json)), Catalog.Json));
        Assert.True(spec.Training.NumTrainEpochs.IsAuto);
        Assert.Equal(64, spec.Training.MaxLength.Resolved);
    }

    [Fact]
    public void Shorthands_and_old_names_are_written_out()
    {
        var spec = Read($$$"""{{{{Least}}}, "method": "full", "training": {"warmup_ratio": 0.1, "evaluation_strategy": "no"}}""");

        Assert.Equal(new FullFineTuningConfig(), spec.Method);
        Assert.Equal((0.1, IntervalStrategy.No), (spec.Training.WarmupSteps, spec.Training.EvalStrategy));
    }

    [Fact]
    public void All_faults_are_told_at_once()
    {
        var faults = Faults("""
            {"base_model": 7, "task": {"type": "text-clasification"}, "dataset": {"validation_split": 0.9, "text_colum": "t"}, "method": {"type": "full", "r": 8}, "metadata": {"k": 1},
             "training": {"learning_rate": -1, "num_train_epochs": "many", "eval_strategy": "epochs", "seed": 1.5, "fp16": true, "save_total_limit": null, "seed": 2, "load_best_model_at_end": "yes"}}
            """);

        Assert.Equal(
            [
                "/base_model", "/task/type", "/dataset/validation_split", "/dataset/text_colum", "/dataset/train", "/method/r", "/metadata/k",
                "/training/learning_rate", "/training/num_train_epochs", "/training/eval_strategy", "/training/seed", "/training/fp16", "/training/save_total_limit",
                "/training/seed", "/training/load_best_model_at_end",
            ],
            faults.Select(fault => fault.Pointer));
        Assert.Equal(
            new Fault("/training/learning_rate", "-1", "This number is out of bounds.", "Give a number above 0 to 1 or \"auto\". The default is 5E-05."),
            faults.Single(fault => fault.Pointer == "/training/learning_rate"));
        Assert.Equal("Did you mean text_column?", faults.Single(fault => fault.Pointer == "/dataset/text_colum").Remedy);
        Assert.Equal("Give one of: no, steps, epoch. The default is epoch.", faults.Single(fault => fault.Pointer == "/training/eval_strategy").Remedy);
    }

    [Theory]
    [InlineData("""{"learning_rate": 1.1}""", "/training/learning_rate")]
    [InlineData("""{"learning_rate": 0}""", "/training/learning_rate")]
    [InlineData("""{"learning_rate": 1e999}""", "/training/learning_rate")]
    [InlineData("""{"num_train_epochs": 0}""", "/training/num_train_epochs")]
    [InlineData("""{"max_steps": 0}""", "/training/max_steps")]
    [InlineData("""{"max_steps": -2}""", "/training/max_steps")]
    [InlineData("""{"max_steps": 3000000000}""", "/training/max_steps")]
    [InlineData("""{"per_device_train_batch_size": 4097}""", "/training/per_device_train_batch_size")]
    [InlineData("""{"gradient_accumulation_steps": 0}""", "/training/gradient_accumulation_steps")]
    [InlineData("""{"adam_beta2": 1}""", "/training/adam_beta2")]
    [InlineData("""{"max_grad_norm": -0.1}""", "/training/max_grad_norm")]
    [InlineData("""{"seed": 4294967296}""", "/training/seed")]
    [InlineData("""{"logging_steps": 1.5}""", "/training/logging_steps")]
    [InlineData("""{"warmup_ratio": 1}""", "/training/warmup_ratio")]
    [InlineData("""{"warmup_ratio": 0.1, "warmup_steps": 5}""", "/training/warmup_steps")]
    [InlineData("""{"group_by_length": "yes"}""", "/training/group_by_length")]
    [InlineData("""{"group_by_length": true, "train_sampling_strategy": "random"}""", "/training/train_sampling_strategy")]
    [InlineData("""{"eval_strategy": "steps"}""", "/training/save_strategy")]
    [InlineData("""{"evaluation_strategy": "steps", "save_strategy": "steps", "eval_steps": 20, "save_steps": 50}""", "/training/save_steps")]
    [InlineData("""{"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 0.2, "save_steps": 0.5}""", "/training/save_steps")]
    [InlineData("""{"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 0.2, "save_steps": 50}""", "/training/save_steps")]
    [InlineData("""{"eval_strategy": "no", "load_best_model_at_end": true}""", "/training/load_best_model_at_end")]
    [InlineData("""{"eval_strategy": "no", "early_stopping_patience": 2}""", "/training/early_stopping_patience")]
    [InlineData("""{"load_best_model_at_end": false, "early_stopping_patience": 2}""", "/training/early_stopping_patience")]
    [InlineData("""{"metric_for_best_model": "\ud800"}""", "/training/metric_for_best_model")]
    [InlineData("""{"metric_for_best_model": "a\u0000b"}""", "/training/metric_for_best_model")]
    [InlineData("""{"\ud800": 1}""", "/training")]
    [InlineData("""{"adafactor": true}""", "/training/adafactor")]
    [InlineData("""{"optim": "adamw"}""", "/training/optim")]
    [InlineData("""{"optim_args": "momentum=0.9"}""", "/training/optim_args")]
    [InlineData("""{"optim": "sgd", "optim_args": "momentum=1"}""", "/training/optim_args")]
    [InlineData("""{"optim": "sgd", "optim_args": "nesterov=true"}""", "/training/optim_args")]
    [InlineData("""{"optim": "sgd", "optim_args": "beta=1"}""", "/training/optim_args")]
    [InlineData("""{"lr_scheduler_kwargs": {"num_cycles": 2}}""", "/training/lr_scheduler_kwargs/num_cycles")]
    [InlineData("""{"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycle": 2}}""", "/training/lr_scheduler_kwargs/num_cycle")]
    [InlineData("""{"lr_scheduler_type": "cosine_with_min_lr"}""", "/training/lr_scheduler_kwargs")]
    [InlineData("""{"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1e-6, "min_lr_rate": 0.1}}""", "/training/lr_scheduler_kwargs")]
    [InlineData("""{"lr_scheduler_type": "warmup_stable_decay"}""", "/training/lr_scheduler_kwargs")]
    [InlineData("""{"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 1.5}}""", "/training/lr_scheduler_kwargs/num_decay_steps")]
    [InlineData("""{"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 5, "decay_type": "sqrt"}}""", "/training/lr_scheduler_kwargs/decay_type")]
    [InlineData("""{"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"mode": "max"}}""", "/training/lr_scheduler_kwargs/mode")]
    [InlineData("""{"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "no"}""", "/training/lr_scheduler_type")]
    [InlineData("""{"label_smoothing_factor": 1}""", "/training/label_smoothing_factor")]
    [InlineData("""{"ema_decay": 1}""", "/training/ema_decay")]
    [InlineData("null", "/training")]
    [InlineData("[]", "/training")]
    public void A_single_fault_is_found_where_it_is(string training, string pointer) =>
        Assert.Equal(pointer, Assert.Single(Faults($$$"""{{{{Least}}}, "training": {{{training}}}}""")).Pointer);

    [Theory]
    [InlineData("""{"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 20, "save_steps": 60}""")]
    [InlineData("""{"eval_strategy": "steps", "load_best_model_at_end": false}""")]
    [InlineData("""{"eval_strategy": "no"}""")]
    [InlineData("""{"adam_beta1": 0, "weight_decay": 0, "max_grad_norm": 0, "max_steps": 1, "learning_rate": 1, "seed": 4294967295}""")]
    public void Sound_settings_at_their_limits_pass(string training) => Read($$$"""{{{{Least}}}, "training": {{{training}}}}""");

    [Theory]
    [InlineData("""{"train_sampling_strategy": "group_by_length"}""", TrainSamplingStrategy.GroupByLength)]
    [InlineData("""{"group_by_length": true}""", TrainSamplingStrategy.GroupByLength)]
    [InlineData("""{"group_by_length": false}""", TrainSamplingStrategy.Random)]
    public void Grouping_by_length_has_an_old_name(string training, TrainSamplingStrategy expected) =>
        Assert.Equal(expected, Read($$$"""{{{{Least}}}, "training": {{{training}}}}""").Training.TrainSamplingStrategy);

    [Fact]
    public void Early_stopping_without_validation_rows_points_to_the_rows() =>
        Assert.Contains(
            "validation_split",
            Assert.Single(Faults("""
                {"base_model": "bert", "task": "text-classification", "dataset": {"train": "ds_1", "validation_split": 0}, "training": {"early_stopping_patience": 1}}
                """)).Remedy);

    [Fact]
    public void Metadata_has_limits()
    {
        var many = string.Join(", ", Enumerable.Range(0, 17).Select(i => $"\"k{i}\": \"\""));
        Assert.Equal("/metadata", Assert.Single(Faults($$$"""{{{{Least}}}, "metadata": {{{{many}}}}}""")).Pointer);
        Assert.Equal("/metadata", Assert.Single(Faults($$$"""{{{{Least}}}, "metadata": {"{{{new string('k', 65)}}}": ""}}""")).Pointer);
        Assert.Equal("/metadata/a~1b", Assert.Single(Faults($$$"""{{{{Least}}}, "metadata": {"a/b": "{{{new string('v', 513)}}}"}}""")).Pointer);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{\"name\": 1,}")]
    [InlineData("{\"name\": NaN}")]
    public void What_is_not_JSON_is_told_with_its_line(string json) => Assert.StartsWith("line 1, byte ", Assert.Single(Faults(json)).Value);

    [Fact]
    public void Hostile_documents_are_refused_briefly()
    {
        Assert.Equal("This is not JSON.", Assert.Single(Faults(new string('[', 100_000))).Message);
        Assert.Contains("bytes", Assert.Single(Faults(new string(' ', JsonContract.MaxBytes + 1))).Message);
        Assert.Equal(100, Faults($"{{{string.Join(",", Enumerable.Range(0, 50_000).Select(i => $"\"x{i}\": 0"))}}}").Count);
    }

    [Theory]
    [InlineData("adamw_bnb_8bit", OptimizerName.AdamwBnb8bit)]
    [InlineData("paged_adamw_8bit", OptimizerName.PagedAdamw8bit)]
    [InlineData("adamw_torch_fused", OptimizerName.AdamwTorchFused)]
    public void Optimizers_have_the_names_of_transformers(string name, OptimizerName optimizer)
    {
        Assert.Equal(optimizer, Read($$$"""{{{{Least}}}, "training": {"optim": "{{{name}}}"}}""").Training.Optim);
        Assert.Equal(optimizer, Enum<OptimizerName>(name));
    }

    internal static T Enum<T>(string name) => JsonSerializer.Deserialize<T>($"\"{name}\"", Catalog.Json)!;

    private static JobSpec Read(string json) => JobSpecReader.Read(JsonContract.Parse(Encoding.UTF8.GetBytes(json)));

    private static IReadOnlyList<Fault> Faults(string json) => Assert.Throws<FaultException>(() => Read(json)).Faults;
}
