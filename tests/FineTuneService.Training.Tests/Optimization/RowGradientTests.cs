using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tests.Data;
using TorchSharp;
using static TorchSharp.torch;
using Embedding = FineTuneService.Training.Models.Layers.Embedding;

namespace FineTuneService.Training.Tests.Optimization;

/// <summary>A table's gradient by rows, against autograd's of the whole table.</summary>
public sealed class RowGradientTests : IDisposable
{
    private const int Count = 8192, Width = 130, Padding = 3; // a width that is no multiple of a vector's

    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Its_steps_have_the_same_bits(bool isShortened)
    {
        var (rows, whole) = Trained(isTied: false, isShortened);
        Assert.Equal(whole, rows);
    }

    /// <summary>The sums are the same, but not made in the same order.</summary>
    [Fact]
    public void A_table_with_another_use_has_both_gradients()
    {
        var (rows, whole) = Trained(isTied: true, isShortened: false);
        Assert.All(rows.Zip(whole), pair => Assert.InRange((pair.First - pair.Second).abs().max().ToDouble(), 0, 1e-5 * pair.Second.abs().max().ToDouble()));
    }

    [Fact]
    public void What_an_optimizer_has_learnt_of_rows_is_in_its_state()
    {
        using TableModel whole = new(false), broken = new(false);
        using var through = new AdamW(whole, 0.1);
        for (var step = 0; step < 6; step++)
            Train(whole, through, step);

        Dictionary<string, Tensor> saved;
        using (var before = new AdamW(broken, 0.1))
        {
            for (var step = 0; step < 3; step++)
                Train(broken, before, step);
            saved = before.State.ToDictionary(entry => entry.Name, entry => entry.Tensor.clone());
        }
        using var after = new AdamW(broken, 0.1);
        var learnt = broken.table.weight.detach().clone();
        Train(broken, after, step: 50); // It knows of other rows before it hears of these.
        using (no_grad())
            broken.table.weight.copy_(learnt);
        after.LoadState(key => saved[key]);
        for (var step = 3; step < 6; step++)
            Train(broken, after, step);

        Assert.Equal(whole.table.weight, broken.table.weight);
        Assert.Equal(through.State.Select(entry => entry.Tensor), after.State.Select(entry => entry.Tensor));
    }

    [Fact]
    public void For_several_processes_it_is_one_of_the_whole_table()
    {
        using TableModel rows = new(false), whole = new(false);
        using var optimizer = new AdamW(rows, 0);
        foreach (var model in new[] { rows, whole })
            model.Loss(Ids(0)).backward();
        optimizer.Collect();
        Assert.Equal(whole.table.weight.grad!, optimizer.Gradients().First());
        Assert.Equal(0, whole.table.weight.grad![Padding].count_nonzero().ToInt64());
    }

    [Fact]
    public void Nothing_is_looked_up_by_rows_without_an_optimizer_that_takes_them()
    {
        using var model = new TableModel(false);
        using (var optimizer = Optimizer.Create(model, new() { Optim = OptimizerName.Sgd }))
            Assert.Null(model.table.Gradient);
        using (var optimizer = Optimizer.Create(model, new() { Optim = OptimizerName.Adamw8bit }))
            Assert.NotNull(model.table.Gradient);
        Assert.Null(model.table.Gradient);
    }

    /// <returns>The weights and the optimizer's state after some steps, by rows and as autograd has it.</returns>
    private static (Tensor[] Rows, Tensor[] Whole) Trained(bool isTied, bool isShortened)
    {
        return (After(byRows: true), After(byRows: false));

        Tensor[] After(bool byRows)
        {
            using var model = new TableModel(isTied);
            if (isShortened)
                model.ComputeIn(ScalarType.BFloat16);
            using var optimizer = new AdamW(model, 0.1);
            Assert.NotNull(model.table.Gradient);
            if (!byRows)
                model.table.Gradient = null;
            for (var step = 0; step < 6; step++)
                Train(model, optimizer, step);
            return [.. model.ExactState().Concat(optimizer.State).Select(entry => entry.Item2.detach().clone())];
        }
    }

    /// <summary>Two micro-batches; the ids of a step have some in common with each other and with those of other steps.</summary>
    private static void Train(TableModel model, AdamW optimizer, int step)
    {
        for (var micro = 0; micro < 2; micro++)
        {
            using var scope = NewDisposeScope();
            model.Loss(Ids(step + micro)).backward();
            optimizer.Collect();
        }
        optimizer.Step(learningRate: 1e-2, maxGradNorm: 0);
    }

    private static Tensor Ids(int seed) => tensor(Enumerable.Range(0, 60).Select(i => (long)(i % 7 == 0 ? Padding : i % 5 == 0 ? 40 : ((i * 37) + (seed * 211)) % Count)).ToArray()).reshape(4, 15);

    private sealed class TableModel : PretrainedModel
    {
        public readonly Embedding table = new(Count, Width, Padding);
        private readonly bool _isTied;

        public TableModel(bool isTied) : base(PretrainedConfig.Read(LanguageFixtures.TinyLlama))
        {
            _isTied = isTied;
            RegisterComponents();
            using var _ = no_grad();
            table.weight.copy_(Goldens.Formula([Count, Width], i => Math.Sin(i)));
        }

        public override string BaseModelPrefix => "model";

        public override Tensor forward(ModelInputs inputs) => throw new NotSupportedException();

        public Tensor Loss(Tensor ids)
        {
            var rows = table.call(ids); // [4, 15, width]
            return (_isTied ? nn.functional.linear(rows, table.weight).sin() : rows.sin()).to(ScalarType.Float32).square().sum();
        }
    }
}
