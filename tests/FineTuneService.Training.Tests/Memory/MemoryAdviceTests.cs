using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Memory;

public sealed class MemoryAdviceTests
{
    private static readonly Gpt2Config Gpt2 = new() { ModelType = "gpt2", VocabSize = 50_257, NPositions = 1024, NEmbd = 768, NLayer = 12, NHead = 12 };

    private static readonly JobSpec Spec = new()
    {
        BaseModel = "gpt2",
        Task = new CausalLmConfig(),
        Dataset = new() { Train = "rows" },
        Method = new FullFineTuningConfig(),
        Training = new() { MaxLength = 1024, PerDeviceTrainBatchSize = 16, PerDeviceEvalBatchSize = 1 },
    };

    private static readonly Workload Rows = new(1000);

    [Theory]
    [InlineData(90, MemoryVerdict.Fits)]
    [InlineData(91, MemoryVerdict.Tight)]
    [InlineData(100, MemoryVerdict.Tight)]
    [InlineData(101, MemoryVerdict.DoesNotFit)]
    public void Nine_tenths_are_enough(long needed, MemoryVerdict verdict) => Assert.Equal(verdict, MemoryAdvice.Judge(needed, 100));

    [Fact]
    public void What_fits_needs_no_change()
    {
        var estimate = MemoryEstimate.Of(Spec, Gpt2, Rows, 1L << 40);

        Assert.Equal(MemoryVerdict.Fits, estimate.Verdict);
        Assert.Null(estimate.SmallestChange);
    }

    /// <summary>Each change is what the host of its size is told, and the larger ones not before the smaller are spent.</summary>
    [Theory]
    [InlineData(0.85, new[] { "/training/gradient_checkpointing" })]
    [InlineData(0.15, new[] { "/training/gradient_checkpointing", "/training/per_device_train_batch_size", "/training/gradient_accumulation_steps" })]
    public void The_least_change_that_fits_is_told(double share, string[] pointers)
    {
        var available = (long)(share * MemoryForecast.Of(Spec, Gpt2, Rows).PeakBytes);

        var change = MemoryEstimate.Of(Spec, Gpt2, Rows, available).SmallestChange!;

        Assert.Equal(pointers, change.Edits.Select(edit => edit.Pointer));
        AssertHolds(change, available);
    }

    [Theory]
    [InlineData(3200, "/training/optim")]
    [InlineData(1550, "/method")]
    public void A_model_that_is_too_large_is_trained_otherwise(int megabytes, string pointer)
    {
        var available = megabytes * 1_000_000L;

        var change = MemoryEstimate.Of(Spec, Gpt2, Rows, available).SmallestChange!;

        Assert.Contains(pointer, change.Edits.Select(edit => edit.Pointer));
        AssertHolds(change, available);
    }

    [Fact]
    public void An_evaluation_that_is_too_large_takes_fewer_rows_at_a_time()
    {
        var judged = Spec with { Training = Spec.Training with { PerDeviceTrainBatchSize = 1, PerDeviceEvalBatchSize = 64 } };
        var available = MemoryForecast.Of(judged, Gpt2, Rows).PeakBytes;

        var change = MemoryEstimate.Of(judged, Gpt2, Rows, available).SmallestChange!;

        Assert.Equal("/training/per_device_eval_batch_size", Assert.Single(change.Edits).Pointer);
        Assert.Equal(32, change.Edits[0].Value.GetInt32());
        AssertHolds(change, available, judged);
    }

    [Fact]
    public void Rows_are_cut_last_and_where_nothing_helps_nothing_is_told()
    {
        var four = Spec with { Method = new QloraConfig(), Training = new() { MaxLength = 1024, PerDeviceTrainBatchSize = 1, PerDeviceEvalBatchSize = 1, GradientCheckpointing = true, MixedPrecision = MixedPrecision.Bf16 } };
        var peak = MemoryForecast.Of(four, Gpt2, Rows).PeakBytes;

        var change = MemoryEstimate.Of(four, Gpt2, Rows, peak).SmallestChange!;

        Assert.Equal("/training/max_length", Assert.Single(change.Edits).Pointer);
        Assert.Null(MemoryEstimate.Of(four, Gpt2, Rows, MemoryForecast.Runtime).SmallestChange);
    }

    [Fact]
    public void An_adapter_keeps_its_shape_in_four_bits()
    {
        var lora = Spec with { Method = new LoraConfig { R = 4, TargetModules = new(["c_attn"]), LoraDropout = 0.1 }, Training = new() { MaxLength = 256, PerDeviceTrainBatchSize = 1, PerDeviceEvalBatchSize = 1, GradientCheckpointing = true, MixedPrecision = MixedPrecision.Bf16, Optim = OptimizerName.Sgd } };
        var peak = MemoryForecast.Of(lora, Gpt2, Rows).PeakBytes;

        var change = MemoryEstimate.Of(lora, Gpt2, Rows, peak).SmallestChange!;

        var method = Assert.IsType<QloraConfig>(change.Edits.Single(edit => edit.Pointer == "/method").Value.Deserialize<MethodConfig>(Catalog.Json));
        Assert.Equal((4, 0.1), (method.R, method.LoraDropout));
        AssertHolds(change, peak, lora);
    }

    /// <summary>Written into the specification, the change does what it promises; and a step sees as many rows as before.</summary>
    private static void AssertHolds(MemoryChange change, long available, JobSpec? from = null)
    {
        var before = from ?? Spec;
        var json = JsonSerializer.SerializeToNode(before, Catalog.Json)!;
        foreach (var edit in change.Edits)
        {
            var at = edit.Pointer.Split('/')[1..];
            (at.Length == 1 ? json : json[at[0]]!)[at[^1]] = JsonNode.Parse(edit.Value.GetRawText());
        }
        var changed = json.Deserialize<JobSpec>(Catalog.Json)!;

        Assert.Equal(change.PeakBytes, MemoryForecast.Of(changed, Gpt2, Rows).PeakBytes);
        Assert.Equal(MemoryVerdict.Fits, MemoryAdvice.Judge(change.PeakBytes, available));
        Assert.Equal(Step(before.Training), Step(changed.Training));

        static int Step(TrainingArguments training) => training.PerDeviceTrainBatchSize.Resolved * training.GradientAccumulationSteps;
    }
}
