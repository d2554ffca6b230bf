using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Data;

namespace FineTuneService.Api.Sweeps;

/// <summary>A field of a trial's specification, and what is put there.</summary>
/// <param name="Pointer">Into the job's specification.</param>
/// <param name="From">Where the request says so.</param>
internal sealed record Setting(string Pointer, JsonElement Value, string From)
{
    public override string ToString() => $"{Pointer} = {Value.GetRawText()}";
}

/// <summary>Which points of a sweep's space are tried: a function of the request alone. Parameters count in the order of their pointers.</summary>
internal sealed class SweepSpace(SweepSpec spec, FaultList faults)
{
    private static readonly string[] Judges = ["/training/metric_for_best_model", "/training/greater_is_better"];
    private static readonly string[] Durations = ["/training/max_steps", "/training/num_train_epochs"];

    private readonly List<Parameter> _parameters = [];

    private sealed record Parameter(string Pointer, ParameterSpace Space)
    {
        public string At => $"/parameters/{JsonContract.Escape(Pointer)}";

        /// <summary>How many values it has.</summary>
        public double Size => Space.Values?.Count ?? (Space.Distribution == ParameterDistribution.IntUniform ? Space.Max!.Value - Space.Min!.Value + 1 : double.PositiveInfinity);

        public Setting Take(int index) => new(Pointer, Space.Values![index], $"{At}/values/{index}");

        public Setting First() => Space.Values is null ? Number(Space.Min!.Value) : Take(0);

        public Setting Draw(ref SplitMix64 random)
        {
            if (Space is not { Min: { } min, Max: { } max })
                return Take((int)(random.Fraction() * Space.Values!.Count));
            var drawn = Space.Distribution switch
            {
                ParameterDistribution.IntUniform => min + Math.Floor(random.Fraction() * (max - min + 1)),
                ParameterDistribution.LogUniform => Math.Exp(Math.Log(min) + (random.Fraction() * (Math.Log(max) - Math.Log(min)))),
                _ => min + (random.Fraction() * (max - min)),
            };
            return Number(Math.Clamp(drawn, min, max)); // Rounding may carry it over the edge.
        }

        private Setting Number(double value) => new(Pointer, JsonSerializer.SerializeToElement(value), At);
    }

    /// <summary>Collects the faults; with any, there is one point, of what is sound, by which the rest of the request can be judged.</summary>
    public IReadOnlyList<IReadOnlyList<Setting>> Points()
    {
        foreach (var (pointer, space) in spec.Parameters.OrderBy(parameter => parameter.Key, StringComparer.Ordinal))
            Read(new(pointer, space));
        faults.Require(spec.Parameters.Count > 0, "/parameters", null, "Nothing varies.", """Name a field and its values: {"/training/learning_rate": {"values": [1e-5, 1e-4]}}.""");
        if (spec.Strategy is SuccessiveHalving halving)
            Check(halving);
        var size = _parameters.Aggregate(1.0, (product, parameter) => product * parameter.Size);
        if (!faults.Any)
            CheckSize(size);
        if (faults.Any)
            return [[.. _parameters.Select(parameter => parameter.First())]];
        return spec.Strategy switch
        {
            RandomSearch random => Draw(random.Trials, random.Seed),
            SuccessiveHalving half => [.. Draw(half.Trials, half.Seed).Select(point => (IReadOnlyList<Setting>)[.. point, new(half.ResourcePointer, JsonSerializer.SerializeToElement(half.MinResource), "/strategy/min_resource")])],
            _ => Combinations(),
        };
    }

    private void Read(Parameter parameter)
    {
        var (at, space, before) = (parameter.At, parameter.Space, faults.All.Count);
        if (faults.All.Any(fault => JsonPointer.IsWithin(fault.Pointer, at)))
            return; // Not even read.
        faults.Require(JsonPointer.Tokens(parameter.Pointer) is not null, at, parameter.Pointer, "This points to no field of a specification.", "Write it as a JSON pointer, such as /training/learning_rate.");
        faults.Require(!Judges.Contains(parameter.Pointer), at, null, "Trials that are judged differently cannot be compared.", "Give metric and direction beside the parameters.");
        faults.Require(spec.Strategy is not SuccessiveHalving || !Durations.Contains(parameter.Pointer), at, null, "How long a trial trains is the strategy's business.", "Leave it out, or take another strategy.");
        var isRange = space is not { Min: null, Max: null, Distribution: null };
        if (isRange == space.Values is not null)
            faults.Add(at, null, isRange ? "Values and a range were both given." : "Neither values nor a range was given.", "Give values, or min and max.");
        else if (isRange)
            CheckRange(space, at);
        else
            foreach (var (index, value) in space.Values!.Index())
                faults.Require(!space.Values!.Take(index).Any(earlier => JsonElement.DeepEquals(earlier, value)), $"{at}/values/{index}", value.GetRawText(), "This value stands here twice.", "Keep one of them.");
        if (faults.All.Count == before)
            _parameters.Add(parameter);
    }

    private void CheckRange(ParameterSpace space, string at)
    {
        const double Exact = 1L << 53; // Beyond it a double skips whole numbers.
        faults.Require(spec.Strategy is not GridSearch, at, null, "A grid cannot have every number of a range.", "Give values, or take the strategy random or successive_halving.");
        if (space is not { Min: { } min, Max: { } max })
        {
            faults.Add(space.Min is null ? $"{at}/min" : $"{at}/max", null, "A range needs both its ends.", "Give min and max.");
            return;
        }
        faults.Require(min < max, $"{at}/max", max, FormattableString.Invariant($"It is not above min, which is {min}."), "Give a greater number; a single value is given as values.");
        faults.Require(space.Distribution != ParameterDistribution.LogUniform || min > 0, $"{at}/min", min, "Below or at 0 there are no orders of magnitude.", "Give a number above 0, or take the distribution uniform.");
        if (space.Distribution == ParameterDistribution.IntUniform)
            foreach (var (name, end) in new[] { ("min", min), ("max", max) })
                faults.Require(end == Math.Floor(end) && Math.Abs(end) < Exact, $"{at}/{name}", end, "This is no whole number.", "Give a whole number, or take the distribution uniform.");
    }

    private void Check(SuccessiveHalving halving)
    {
        faults.Require(
            halving.Trials >= halving.ReductionFactor, "/strategy/trials", halving.Trials,
            $"Of fewer trials than the reduction factor, {halving.ReductionFactor}, none would go on.", "Give more, or take the strategy random.");
        var most = halving.Resource == SweepResource.MaxSteps ? int.MaxValue : 10_000; // As TrainingArguments has it.
        faults.Require(
            halving.ResourceOf(halving.LastRung()) <= most, "/strategy/min_resource", halving.MinResource,
            FormattableString.Invariant($"The last rung, which is number {halving.LastRung() + 1}, would get {halving.ResourceOf(halving.LastRung())} {halving.ResourceName}; the limit is {most}."),
            "Give less, or fewer trials.");
    }

    private void CheckSize(double size)
    {
        var trials = spec.Strategy switch { RandomSearch random => random.Trials, SuccessiveHalving halving => halving.Trials, _ => (int?)null };
        if (trials is null)
            faults.Require(size <= SweepSpec.MostTrials, "/parameters", null, $"The grid has {size} points; a sweep has at most {SweepSpec.MostTrials}.", "Give fewer values, or take the strategy random.");
        else
            faults.Require(trials <= size, "/strategy/trials", trials, $"The space has only {size} points.", $"Give at most {size}, or more values.");
    }

    /// <summary>The last parameter changes fastest.</summary>
    private IReadOnlyList<IReadOnlyList<Setting>> Combinations() => _parameters.Aggregate(
        (IReadOnlyList<IReadOnlyList<Setting>>)[[]],
        (points, parameter) => [.. from point in points from index in Enumerable.Range(0, parameter.Space.Values!.Count) select (IReadOnlyList<Setting>)[.. point, parameter.Take(index)]]);

    private List<IReadOnlyList<Setting>> Draw(int trials, long seed)
    {
        const int Patience = 1000;
        var (random, points, seen) = (new SplitMix64((ulong)seed), new List<IReadOnlyList<Setting>>(), new HashSet<string>());
        for (var tries = 0; points.Count < trials && tries < trials * Patience; tries++)
        {
            var point = new List<Setting>();
            foreach (var parameter in _parameters)
                point.Add(parameter.Draw(ref random));
            if (seen.Add(string.Join('\n', point)))
                points.Add(point);
        }
        faults.Require(points.Count == trials, "/strategy/trials", trials, $"The ranges are so narrow that no more than {points.Count} points were found.", "Give fewer trials, or wider ranges.");
        return points;
    }
}
